// Package plantest holds pairs of desired and observed worlds for tests: one
// for every decision that a plan can make. Whoever shows, stores or executes
// plans is tested with all of them.
package plantest

import (
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Key is the key of all digests here.
var Key = spec.Key("0123456789abcdef0123456789abcdef")

// Scopes of the pairs: two in view, and one that is somebody else's.
const (
	Home  = "aaaaaaaaaaaaaaaa"
	Repo  = "bbbbbbbbbbbbbbbb"
	Other = "cccccccccccccccc"
)

type (
	specEdit     = func(*spec.Spec)
	instanceEdit = func(*plan.Instance)
	worldEdit    = func(*plan.World)
	desireEdit   = func(*plan.Desired)
)

// Spec is a small desire; edits change it.
func Spec(agent string, edits ...specEdit) *spec.Spec {
	s := &spec.Spec{
		ID: spec.ID{Scope: Home, Agent: agent, Replica: "1"}, Backend: "docker",
		Source: spec.Source{
			AgentFile: "/home/u/.bot-bottle/agents/" + agent + ".md", BottleFile: "/home/u/.bot-bottle/bottles/dev.md",
			Bottle: "dev", Lineage: []string{"dev", "base"},
		},
		Image: spec.Image{Name: "shell", Recipe: "FROM x"},
		Fixed: spec.Fixed{Backend: "docker", Provider: "shell", Env: []spec.Env{{Name: "PORT", Kind: spec.EnvLiteral, Value: "1"}}},
		Live: spec.Live{
			Routes: []egress.Route{{Host: "api.example.com", Port: 443, Source: "bottle dev.md:4"}},
			Tokens: map[string]string{},
		},
	}
	for _, e := range edits {
		e(s)
	}
	return s
}

// Running is the instance that an apply of s leaves behind; edits break it.
func Running(s *spec.Spec, edits ...instanceEdit) plan.Instance {
	i := plan.Instance{
		ID: s.ID, Backend: s.Backend,
		Agent: &plan.Part{
			Ref: "a1", Running: true, Status: "Up 3 minutes", Spec: s.Hash(Key), SpecJSON: s.FixedJSON(Key),
			Image: "img:1", Version: "1.0", Confinement: "c1",
		},
		Sidecar:   &plan.Part{Ref: "s1", Running: true, Status: "Up 3 minutes", Image: map[bool]string{false: "side:1", true: "side:p"}[s.Gate.Pipelock], Version: "1.0", Network: s.Gate.Network, Pipelock: s.Gate.Pipelock},
		Leftovers: []string{s.ID.DoorVolume(), s.ID.CAVolume()},
		State: &egress.StateLine{
			Version: 1, State: egress.StateConfigured, Live: s.LiveHashes(), Tokens: map[string]string{},
			Rules: s.Rules().Digest(),
		},
		Document: &egress.Document{
			Routes: s.Live.Routes, UpstreamCA: s.Live.UpstreamCA, Parent: s.Live.Parent, Pipelock: s.Gate.Pipelock,
			Remotes: s.Live.Remotes,
		},
	}
	for slot, ref := range s.Live.Tokens {
		i.State.Tokens[slot] = Key.Digest(s.ID.Name(), ref, "old")
	}
	for _, e := range edits {
		e(&i)
	}
	return i
}

// Desired is what a command without flags wants.
func Desired(specs ...*spec.Spec) plan.Desired {
	d := plan.Desired{
		Specs: specs, Scopes: []string{Home, Repo}, Digests: map[string]map[string]string{}, Version: "2.0",
		Hash: func(s *spec.Spec) (string, string) { return s.Hash(Key), s.FixedJSON(Key) },
	}
	for _, s := range specs {
		d.Declared = append(d.Declared, plan.Agent{Scope: s.ID.Scope, Name: s.ID.Agent})
	}
	return d
}

// want is Desired with edits.
func want(edits []desireEdit, specs ...*spec.Spec) plan.Desired {
	d := Desired(specs...)
	for _, e := range edits {
		e(&d)
	}
	return d
}

// World is one backend's, with what the specs on it need.
func World(backend string, specs []*spec.Spec, instances ...plan.Instance) plan.World {
	w := plan.World{
		Backend: backend, SidecarImage: "side:1", PipelockImage: "side:p", Confinement: "c1", SharedNetwork: "ours",
		Images: map[string]plan.ImageState{}, Instances: instances,
	}
	for _, s := range specs {
		if s.Backend == backend {
			w.Images[s.ID.Name()] = plan.ImageState{Ref: "img:1", Present: true}
		}
	}
	return w
}
