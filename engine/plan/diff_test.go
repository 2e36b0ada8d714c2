package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

var key = spec.Key("0123456789abcdef0123456789abcdef")

const scope = "aaaaaaaaaaaaaaaa"

// bottleSpec is a small desire; edits change it.
func bottleSpec(agent string, edits ...func(*spec.Spec)) *spec.Spec {
	s := &spec.Spec{
		ID: spec.ID{Scope: scope, Agent: agent, Replica: "1"}, Backend: "docker",
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

// running is the instance that an apply of s leaves behind; edits break it.
func running(s *spec.Spec, edits ...func(*Instance)) Instance {
	i := Instance{
		ID: s.ID, Backend: s.Backend,
		Agent:   &Part{Ref: "a1", Running: true, Spec: s.Hash(key), SpecJSON: s.FixedJSON(key), Image: "img:1"},
		Sidecar: &Part{Ref: "s1", Running: true, Image: "side:1", Network: s.Gate.Network},
		State: &egress.StateLine{
			Version: 1, State: egress.StateConfigured, Live: s.LiveHashes(), Tokens: map[string]string{},
		},
	}
	for slot, ref := range s.Live.Tokens {
		i.State.Tokens[slot] = key.Digest(s.ID.Name(), ref, "old")
	}
	for _, e := range edits {
		e(&i)
	}
	return i
}

func world(s []*spec.Spec, instances ...Instance) World {
	w := World{Backend: "docker", SidecarImage: "side:1", Images: map[string]ImageState{}, Instances: instances}
	for _, x := range s {
		w.Images[x.ID.Name()] = ImageState{Ref: "img:1", Present: true}
	}
	return w
}

func desired(specs ...*spec.Spec) Desired {
	d := Desired{
		Specs: specs, Scopes: []string{scope}, Digests: map[string]map[string]string{},
		Hash: func(s *spec.Spec) (string, string) { return s.Hash(key), s.FixedJSON(key) },
	}
	for _, s := range specs {
		d.Declared = append(d.Declared, Agent{scope, s.ID.Agent})
	}
	return d
}

// summary renders changes on one line each, for comparison.
func summary(p *Plan) string {
	var b strings.Builder
	for _, c := range p.Changes {
		b.WriteString(string(c.Action) + " " + c.ID.String())
		for _, r := range c.Reasons {
			b.WriteString(" " + string(r))
		}
		for _, d := range c.Diff {
			b.WriteString(" [")
			if d.Kind != Changed {
				b.WriteString(d.Kind + " ")
			}
			b.WriteString(d.Path)
			if !d.Opaque {
				b.WriteString(": " + d.Old + " -> " + d.New)
			}
			b.WriteString("]")
		}
		b.WriteString("\n")
	}
	return b.String()
}

const createNodes = `[] -> #1 docker shell ensure_image, image of shell
[] -> #2 docker * prepare, shared by all bottles
[2] -> #3 docker dev create_sidecar, not_found
[3] -> #4 docker dev configure, not_found
[4 1] -> #5 docker dev create_agent, not_found
[5] -> #6 docker dev start_agent, not_found
`

func identity(s *spec.Spec) { s.Live.GitUser = spec.GitUser{Name: "A", NameFrom: "agent"} }

func token(s *spec.Spec) {
	s.Live.Routes[0].Auth = &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}
	s.Live.Tokens["EGRESS_TOKEN_0"] = "TOKEN"
}

func TestDiff(t *testing.T) {
	dev := bottleSpec("dev")
	withToken := bottleSpec("dev", token)
	tests := []struct {
		name   string
		d      Desired
		worlds []World
		want   string
		nodes  string
		same   int
	}{
		{"nothing", desired(), []World{world(nil)}, "", "", 0},
		{"create", desired(dev), []World{world([]*spec.Spec{dev})}, "create dev not_found\n", createNodes, 0},
		{"unchanged", desired(dev), []World{world([]*spec.Spec{dev}, running(dev))}, "", "", 1},
		{
			"create with identity claims it only when it is done",
			desired(bottleSpec("dev", identity)),
			[]World{world([]*spec.Spec{dev})},
			"create dev not_found\n",
			`[] -> #1 docker shell ensure_image, image of shell
[] -> #2 docker * prepare, shared by all bottles
[2] -> #3 docker dev create_sidecar, not_found
[3] -> #4 docker dev configure (egress), not_found
[4 1] -> #5 docker dev create_agent, not_found
[5] -> #6 docker dev start_agent, not_found
[6] -> #7 docker dev provision (identity), not_found
[7] -> #8 docker dev configure, not_found
`, 0,
		},
		{
			"half-made: only the sidecar exists",
			desired(dev),
			[]World{world([]*spec.Spec{dev}, running(dev, func(i *Instance) { i.Agent = nil }))},
			"create dev not_found\n",
			`[] -> #1 docker shell ensure_image, image of shell
[] -> #2 docker * prepare, shared by all bottles
[2] -> #3 docker dev configure, not_found
[3 1] -> #4 docker dev create_agent, not_found
[4] -> #5 docker dev start_agent, not_found
`, 0,
		},
		{
			"half-made: only volumes exist",
			desired(dev),
			[]World{world([]*spec.Spec{dev}, Instance{ID: dev.ID, Backend: "docker", Leftovers: []string{dev.ID.DoorVolume()}})},
			"create dev not_found\n", createNodes, 0,
		},
		{
			"stopped",
			desired(dev),
			[]World{world([]*spec.Spec{dev}, running(dev, func(i *Instance) { i.Agent.Running = false }))},
			"start dev stopped\n",
			`[] -> #1 docker * prepare, shared by all bottles
[1] -> #2 docker dev configure, stopped
[2] -> #3 docker dev start_agent, stopped
`, 0,
		},
		{
			"replaced: the old one goes only when image and gate are ready",
			desired(bottleSpec("dev", func(s *spec.Spec) { s.Fixed.Env[0].Value = "2" })),
			[]World{world([]*spec.Spec{dev}, running(dev))},
			"replace dev spec_changed [env.PORT]\n",
			`[] -> #1 docker shell ensure_image, image of shell
[] -> #2 docker * prepare, shared by all bottles
[2 1] -> #3 docker dev remove_agent, spec_changed
[3] -> #4 docker dev configure, spec_changed
[4 1] -> #5 docker dev create_agent, spec_changed
[5] -> #6 docker dev start_agent, spec_changed
`, 0,
		},
		{
			"image moved",
			desired(dev),
			[]World{func() World {
				w := world([]*spec.Spec{dev}, running(dev))
				w.Images[dev.ID.Name()] = ImageState{Ref: "img:2"}
				return w
			}()},
			"replace dev image_changed [image: img:1 -> img:2]\n", "", 0,
		},
		{
			"confined by an older bb",
			desired(dev),
			[]World{func() World {
				w := world([]*spec.Spec{dev}, running(dev))
				w.Confinement = "c2"
				return w
			}()},
			"replace dev confinement_changed\n", "", 0,
		},
		{
			"image unknown is no change",
			desired(dev),
			[]World{func() World {
				w := world([]*spec.Spec{dev}, running(dev))
				w.Images[dev.ID.Name()] = ImageState{}
				return w
			}()},
			"", "", 1,
		},
		{
			"route added and changed",
			desired(bottleSpec("dev", func(s *spec.Spec) {
				s.Live.Routes[0].Matches = []egress.Match{{Paths: []string{"/a"}}}
				s.Live.Routes = append(s.Live.Routes, egress.Route{Host: "b.example.com", Port: 8443})
			})),
			[]World{world([]*spec.Spec{dev}, running(dev, func(i *Instance) {
				i.Document = &egress.Document{Routes: dev.Live.Routes}
			}))},
			"update dev egress_changed [egress.routes[api.example.com:443].paths:  -> /a] [add egress.routes[b.example.com:8443]:  -> ]\n",
			"[] -> #1 docker dev configure, egress_changed\n", 0,
		},
		{
			"a line that moved is no change",
			desired(bottleSpec("dev", func(s *spec.Spec) { s.Live.Routes[0].Source = "bottle dev.md:9" })),
			[]World{world([]*spec.Spec{dev}, running(dev))},
			"", "", 1,
		},
		{
			"identity added: done inside, then claimed",
			desired(bottleSpec("dev", identity)),
			[]World{world([]*spec.Spec{dev}, running(dev))},
			"update dev identity_changed [git_user]\n",
			`[] -> #1 docker dev configure (egress prompt skills login), identity_changed
[1] -> #2 docker dev provision (identity), identity_changed
[2] -> #3 docker dev configure, identity_changed
`, 0,
		},
		{
			"identity removed is unset",
			desired(dev),
			[]World{world([]*spec.Spec{dev}, running(bottleSpec("dev", identity)))},
			"update dev identity_changed [git_user]\n", "", 0,
		},
		{
			"token rotated",
			func() Desired {
				d := desired(withToken)
				d.Digests[withToken.ID.Name()] = map[string]string{"EGRESS_TOKEN_0": key.Digest(withToken.ID.Name(), "TOKEN", "new")}
				return d
			}(),
			[]World{world([]*spec.Spec{withToken}, running(withToken))},
			"update dev token_rotated [token $TOKEN]\n", "", 0,
		},
		{"token unknown is no change", desired(withToken), []World{world([]*spec.Spec{withToken}, running(withToken))}, "", "", 1},
		{
			"sidecar came back unconfigured",
			desired(dev),
			[]World{world([]*spec.Spec{dev}, running(dev, func(i *Instance) {
				i.State = &egress.StateLine{Version: 1, State: egress.StateUnconfigured}
			}))},
			"update dev sidecar_lost\n",
			"[] -> #1 docker dev configure, sidecar_lost\n", 0,
		},
		{
			"sidecar stopped",
			desired(dev),
			[]World{world([]*spec.Spec{dev}, running(dev, func(i *Instance) { i.Sidecar.Running, i.State = false, nil }))},
			"update dev sidecar_lost\n",
			`[] -> #1 docker * prepare, shared by all bottles
[1] -> #2 docker dev start_sidecar, sidecar_lost
[2] -> #3 docker dev configure, sidecar_lost
`, 0,
		},
		{
			"sidecar removed",
			desired(dev),
			[]World{world([]*spec.Spec{dev}, running(dev, func(i *Instance) { i.Sidecar, i.State = nil, nil }))},
			"update dev sidecar_lost\n",
			`[] -> #1 docker * prepare, shared by all bottles
[1] -> #2 docker dev create_sidecar, sidecar_lost
[2] -> #3 docker dev configure, sidecar_lost
`, 0,
		},
		{
			"sidecar of another bb is replaced alone",
			desired(dev),
			[]World{world([]*spec.Spec{dev}, running(dev, func(i *Instance) { i.Sidecar.Image = "side:0" }))},
			"update dev sidecar_outdated\n",
			`[] -> #1 docker * prepare, shared by all bottles
[1] -> #2 docker dev create_sidecar, sidecar_outdated
[2] -> #3 docker dev configure, sidecar_outdated
`, 0,
		},
		{
			"outer network changed",
			desired(bottleSpec("dev", func(s *spec.Spec) { s.Gate.Network = "lan" })),
			[]World{world([]*spec.Spec{dev}, running(dev))},
			"update dev network_changed [egress.network:  -> lan]\n", "", 0,
		},
		{
			"not declared: shown, not removed",
			desired(),
			[]World{world(nil, running(dev))},
			"remove dev not_declared\n", "", 0,
		},
		{
			"not declared, pruned",
			func() Desired { d := desired(); d.Prune = true; return d }(),
			[]World{world(nil, running(dev))},
			"remove dev not_declared\n",
			`[] -> #1 docker dev remove_agent, not_declared
[1] -> #2 docker dev remove_sidecar, not_declared
[2] -> #3 docker dev remove_volumes, not_declared
`, 0,
		},
		{
			"scaled down needs no prune, also to none",
			func() Desired { d := desired(); d.Declared = []Agent{{scope, "dev"}}; return d }(),
			[]World{world(nil, running(dev))},
			"remove dev scaled_down\n",
			`[] -> #1 docker dev remove_agent, scaled_down
[1] -> #2 docker dev remove_sidecar, scaled_down
[2] -> #3 docker dev remove_volumes, scaled_down
`, 0,
		},
		{
			"manifest broken: blocked, whatever is asked",
			func() Desired { d := desired(); d.Prune, d.Broken = true, []string{"dev"}; return d }(),
			[]World{world(nil, running(dev))},
			"blocked dev manifest_broken\n", "", 0,
		},
		{
			"another scope is left alone",
			func() Desired { d := desired(); d.Prune, d.Scopes = true, []string{"bbbbbbbbbbbbbbbb"}; return d }(),
			[]World{world(nil, running(dev))},
			"", "", 0,
		},
		{
			"an ad-hoc instance is left alone",
			func() Desired { d := desired(); d.Prune = true; return d }(),
			[]World{world(nil, running(bottleSpec("dev", func(s *spec.Spec) { s.ID.Replica = "x7f3" })))},
			"", "", 0,
		},
		{
			"names narrow both sides",
			func() Desired {
				d := desired(dev, bottleSpec("other"))
				d.Prune, d.Want = true, []string{"dev"}
				return d
			}(),
			[]World{world([]*spec.Spec{dev}, running(dev), running(bottleSpec("gone")))},
			"", "", 1,
		},
		{
			"foreign container with our name",
			desired(dev),
			[]World{func() World {
				w := world([]*spec.Spec{dev})
				w.Foreign = []Foreign{{Kind: "container", Name: dev.ID.Name()}}
				return w
			}()},
			"blocked dev foreign_owner\n", "", 0,
		},
		{
			"moved to another backend",
			desired(dev),
			[]World{world([]*spec.Spec{dev}), {Backend: "smolvm", Instances: []Instance{running(dev, func(i *Instance) { i.Backend = "smolvm" })}}},
			"replace dev backend_changed [backend: smolvm -> docker]\n",
			`[] -> #1 docker shell ensure_image, image of shell
[] -> #2 docker * prepare, shared by all bottles
[2] -> #3 docker dev create_sidecar, backend_changed
[3 1] -> #4 smolvm dev remove_agent, backend_changed
[4] -> #5 smolvm dev remove_sidecar, backend_changed
[5] -> #6 smolvm dev remove_volumes, backend_changed
[6] -> #7 docker dev configure, backend_changed
[7 1] -> #8 docker dev create_agent, backend_changed
[8] -> #9 docker dev start_agent, backend_changed
`, 0,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Diff(tt.d, tt.worlds)
			if d := cmp.Diff(tt.want, summary(p)); d != "" {
				t.Errorf("changes (-want +got):\n%s", d)
			}
			if tt.nodes != "" || tt.want == "" {
				if d := cmp.Diff(tt.nodes, p.String()); d != "" {
					t.Errorf("nodes (-want +got):\n%s", d)
				}
			}
			if p.Unchanged != tt.same {
				t.Errorf("unchanged %d, want %d", p.Unchanged, tt.same)
			}
		})
	}
}
