package plantest

import (
	"fmt"
	"math/rand/v2"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

var (
	specEdits = []specEdit{
		identity, prompt, skills, port2, onLAN, piped, onVM, secretEnv, token, routes(), routes(route("b.example.com"), route("api.example.com")),
		func(s *spec.Spec) { s.Image.Name, s.Image.Recipe = "other", "FROM y" },
		parent("http://proxy.example.com:3128", ""), parent("https://proxy.example.com:443", "PROXY"),
		remotes(remote("origin")), remotes(remote("docs", pushing(egress.Push{Off: true})), remote("origin", pushing(egress.Push{Tags: true}))),
		routes(route("api.example.com", dlp(egress.DLP{OnMatch: "redact", Stream: true}))),
	}
	instanceEdits = []instanceEdit{
		agentGone, agentStopped, agentAltered, agentOld, sidecarGone, sidecarStopped, sidecarOutdated, sidecarElsewhere, sidecarPiped,
		sidecarAltered, volumesGone, unconfigured, otherRules, otherParent, otherRemotes, unread, otherForm,
	}
)

// Random is a pair that nobody thought of: instances of three scopes, declared
// and ad-hoc ones, on two backends, each in any state, among strangers.
func Random(rng *rand.Rand) (plan.Desired, []plan.World) {
	d := Desired()
	var there []plan.Instance
	var ids []spec.ID
	for _, scope := range []string{Home, Repo, Other} {
		for _, agent := range []string{"a", "b", "c"} {
			for _, n := range []string{"1", "2", "10", "x7f3"} {
				id := spec.ID{Scope: scope, Agent: agent, Replica: n}
				ids = append(ids, id)
				if scope != Other && n != "x7f3" && rng.IntN(2) == 0 {
					d.Specs = append(d.Specs, randomSpec(rng, id))
				}
				for _, backend := range []string{"docker", "smolvm"} {
					if rng.IntN(4) == 0 {
						there = append(there, randomInstance(rng, id, backend))
					}
				}
			}
			flags := map[string]*[]plan.Agent{"declared": &d.Declared, "outside": &d.Outside, "not allowed": &d.NotAllowed}
			for _, f := range []string{"declared", "outside", "not allowed"} {
				if scope != Other && rng.IntN(5) == 0 {
					*flags[f] = append(*flags[f], plan.Agent{Scope: scope, Name: agent})
				}
			}
		}
	}
	d.Prune = rng.IntN(2) == 0
	if rng.IntN(4) == 0 {
		d.Want = []plan.Agent{{Name: "a"}, {Scope: Home, Name: "b"}}
	}
	if rng.IntN(4) == 0 {
		d.Broken = []string{"c"}
	}
	return d, randomWorlds(rng, d, ids, there)
}

func randomSpec(rng *rand.Rand, id spec.ID) *spec.Spec {
	s := Spec(id.Agent, some(rng, specEdits)...)
	s.ID = id
	return s
}

func randomInstance(rng *rand.Rand, id spec.ID, backend string) plan.Instance {
	s := randomSpec(rng, id)
	if rng.IntN(2) == 0 {
		s = Spec(id.Agent)
		s.ID = id
	}
	s.Backend, s.Fixed.Backend = backend, backend
	i := Running(s)
	for _, e := range some(rng, instanceEdits) {
		try(e, &i)
	}
	return i
}

// try leaves out an edit of what is gone already.
func try(e instanceEdit, i *plan.Instance) {
	copied := *i
	defer func() {
		if recover() != nil {
			*i = copied
		}
	}()
	e(i)
}

func some[E any](rng *rand.Rand, all []E) []E {
	var out []E
	for _, i := range rng.Perm(len(all))[:rng.IntN(4)] {
		out = append(out, all[i])
	}
	return out
}

func randomWorlds(rng *rand.Rand, d plan.Desired, ids []spec.ID, there []plan.Instance) []plan.World {
	var worlds []plan.World
	for _, backend := range []string{"docker", "smolvm"} {
		w := World(backend, d.Specs)
		for _, i := range there {
			if i.Backend == backend {
				w.Instances = append(w.Instances, i)
			}
		}
		for range rng.IntN(3) {
			stranger(rng, &w, ids)
		}
		worlds = append(worlds, w)
	}
	return worlds
}

// stranger takes a name of bb's, or carries bb's labels under another.
func stranger(rng *rand.Rand, w *plan.World, ids []spec.ID) {
	id := ids[rng.IntN(len(ids))]
	switch rng.IntN(5) {
	case 0:
		foreign("container", id.Name())(w)
	case 1:
		foreign("container", id.Sidecar())(w)
	case 2:
		foreign("volume", id.DoorVolume())(w)
	case 3:
		foreign("volume", id.CAVolume())(w)
	default:
		renamed(fmt.Sprint("bb-x", rng.IntN(9)), id.Name())(w)
	}
}
