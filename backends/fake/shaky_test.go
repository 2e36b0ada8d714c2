package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// shaky is the driver of a model: every call may fail before or after its
// effect, or be the last one of a bb that is killed; and after every call the
// world is held to what must be true at any time.
type shaky struct {
	*Driver
	m *model
}

func (s shaky) call(what string, f func() error) error {
	m := s.m
	if m.killed {
		return errFault
	}
	fails := m.rng.Float64() < m.faults
	if fails {
		m.killed = m.rng.IntN(3) == 0
		if m.rng.IntN(2) == 0 {
			return errFault // before its effect
		}
	}
	before := m.snapshot()
	err := f()
	m.untouched(what, before, m.snapshot())
	if fails {
		return errFault
	}
	return err
}

func (s shaky) Check(ctx context.Context) error {
	return s.looks("check", func() error { return s.Driver.Check(ctx) })
}

func (s shaky) Observe(ctx context.Context, q plan.Query) (w plan.World, err error) {
	err = s.looks("observe", func() (err error) { w, err = s.Driver.Observe(ctx, q); return err })
	return w, err
}

func (s shaky) Sessions(ctx context.Context, id spec.ID) (n int, err error) {
	err = s.looks("sessions", func() (err error) { n, err = s.Driver.Sessions(ctx, id); return err })
	return n, err
}

func (s shaky) Control(ctx context.Context, id spec.ID, command string) (reply []byte, err error) {
	err = s.looks("control", func() (err error) { reply, err = s.Driver.Control(ctx, id, command); return err })
	return reply, err
}

// looks is a call that must change nothing at all.
func (s shaky) looks(what string, f func() error) error {
	return s.call(what, func() error {
		before := s.m.bytes()
		err := f()
		if s.m.bytes() != before {
			s.m.t.Errorf("%s changed the world", what)
		}
		return err
	})
}

func (s shaky) Prepare(ctx context.Context, via *backends.BuildProxy) error {
	return s.call("prepare", func() error { return s.Driver.Prepare(ctx, via) })
}

func (s shaky) EnsureImage(ctx context.Context, x *spec.Spec, via *backends.BuildProxy) error {
	return s.call("ensure_image", func() error { return s.Driver.EnsureImage(ctx, x, via) })
}

func (s shaky) CreateSidecar(ctx context.Context, x *spec.Spec) error {
	return s.call("create_sidecar "+x.ID.Name(), func() error { return s.Driver.CreateSidecar(ctx, x) })
}

func (s shaky) StartSidecar(ctx context.Context, x *spec.Spec) error {
	return s.call("start_sidecar "+x.ID.Name(), func() error { return s.Driver.StartSidecar(ctx, x) })
}

// Configure: a policy must not reach an agent of another fixed half.
func (s shaky) Configure(ctx context.Context, x *spec.Spec, secrets spec.Secrets, parts []string) error {
	return s.call("configure "+x.ID.Name(), func() error {
		s.m.see(func(w *File) {
			agent := w.Containers[x.ID.Name()]
			if agent != nil && agent.Running && agent.Labels[spec.LabelOwner] == owner && agent.Labels[spec.LabelSpec] != x.Hash(key) {
				s.m.t.Errorf("%s: an agent that is to be replaced gets its successor's policy", x.ID)
			}
		})
		return s.Driver.Configure(ctx, x, secrets, parts)
	})
}

func (s shaky) CreateAgent(ctx context.Context, x *spec.Spec) error {
	return s.call("create_agent "+x.ID.Name(), func() error { return s.Driver.CreateAgent(ctx, x) })
}

// StartAgent: no agent runs but behind a fitting gate that enforces its policy.
func (s shaky) StartAgent(ctx context.Context, x *spec.Spec) error {
	return s.call("start_agent "+x.ID.Name(), func() error {
		err := s.Driver.StartAgent(ctx, x)
		s.m.see(func(w *File) {
			agent := w.Containers[x.ID.Name()]
			if why := s.m.misfit(w, x); why != "" && err == nil && agent != nil && agent.Running {
				s.m.t.Errorf("%s was started: %s", x.ID, why)
			}
		})
		return err
	})
}

func (s shaky) Provision(ctx context.Context, x *spec.Spec, secrets spec.Secrets, parts []string) error {
	return s.call("provision "+x.ID.Name(), func() error { return s.Driver.Provision(ctx, x, secrets, parts) })
}

func (s shaky) RemoveAgent(ctx context.Context, id spec.ID) error {
	return s.call("remove_agent "+id.Name(), func() error { return s.Driver.RemoveAgent(ctx, id) })
}

func (s shaky) RemoveSidecar(ctx context.Context, id spec.ID) error {
	return s.call("remove_sidecar "+id.Name(), func() error { return s.Driver.RemoveSidecar(ctx, id) })
}

func (s shaky) RemoveVolumes(ctx context.Context, id spec.ID) error {
	return s.call("remove_volumes "+id.Name(), func() error { return s.Driver.RemoveVolumes(ctx, id) })
}

// misfit says what keeps a gate from being that of a spec, or "".
func (m *model) misfit(w *File, s *spec.Spec) string {
	gate := w.Containers[s.ID.Sidecar()]
	switch {
	case gate == nil || !gate.Running:
		return "its gate does not run"
	case gate.Labels[spec.LabelOwner] != owner || len(gate.Altered) > 0:
		return "its gate is not as bb made it"
	case gate.Labels[spec.LabelNetwork] != s.Gate.Network || gate.Labels[spec.LabelImage] != sidecarImage,
		(gate.Labels[spec.LabelPipelock] != "") != s.Gate.Pipelock:
		return "its gate is another kind"
	case gate.State == nil || gate.State.State != egress.StateConfigured:
		return "its gate enforces nothing"
	case gate.State.Rules != s.Rules().Digest():
		return "its gate enforces other rules"
	case !maps.Equal(gate.State.Tokens, m.secrets(s).Digests):
		return "its gate holds other tokens"
	}
	return ""
}

// everything is the labels of all that has a name.
func everything(w *File) map[string]map[string]string {
	all := map[string]map[string]string{}
	for name, c := range w.Containers {
		all[name] = c.Labels
	}
	for name, v := range w.Volumes {
		all[name] = v.Labels
	}
	return all
}

// seen is what the world must keep: the bytes of what bb may not touch now,
// and the agents that somebody uses.
type seen struct {
	kept map[string]string
	used map[spec.ID]string
}

func (m *model) bytes() (out string) {
	m.see(func(w *File) { out = encode(w) })
	return out
}

// see looks at the world without writing it.
func (m *model) see(f func(*File)) {
	if err := m.d.view(func(w *File) error { f(w); return nil }); err != nil {
		m.t.Fatal(err)
	}
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (m *model) snapshot() seen {
	s := seen{map[string]string{}, map[spec.ID]string{}}
	m.see(func(w *File) {
		for name, labels := range everything(w) {
			if !m.mayTouch(name, labels) {
				s.kept[name] = encode(w.Containers[name]) + encode(w.Volumes[name])
			}
			id, role, ours := spec.ParseIdentity(owner, name, labels)
			if c := w.Containers[name]; ours && role == spec.RoleAgent && c.Running && c.Sessions > 0 && !m.force && !m.mayEnd[id] {
				s.used[id] = c.Ref
			}
		}
	})
	return s
}

// mayTouch: ours, of a scope in view, declared or asked for. It is judged by
// the model alone, from what the command was asked.
func (m *model) mayTouch(name string, labels map[string]string) bool {
	id, _, ours := spec.ParseIdentity(owner, name, labels)
	if m.mayEnd == nil {
		return true // the world is being made
	}
	agent := plan.Agent{Scope: id.Scope, Name: id.Agent}
	switch {
	case !ours || id.Scope == otherScope || id.Replica[0] > '9':
		return false
	case len(m.want) > 0 && !slices.Contains(m.want, agent) && !slices.Contains(m.want, plan.Agent{Name: id.Agent}):
		return false
	}
	return m.specs[id] != nil || m.declared[agent] || m.prune || slices.Contains(m.pruned, id)
}

func (m *model) untouched(what string, before, after seen) {
	for name, was := range before.kept {
		if after.kept[name] != was {
			m.t.Errorf("%s touched %s, which was not its own:\n%s\n%s", what, name, was, after.kept[name])
		}
	}
	for id, ref := range before.used {
		if after.used[id] != ref {
			m.t.Errorf("%s ended %s, which somebody uses and nobody was asked about", what, id)
		}
	}
}

// hand alters the world behind bb's back: each resource with the given
// probability.
func (m *model) hand(chance float64) {
	change(m.t, m.d, func(w *File) {
		for _, name := range slices.Sorted(maps.Keys(w.Containers)) {
			c := w.Containers[name]
			if _, _, ours := spec.ParseIdentity(owner, name, c.Labels); !ours || m.rng.Float64() >= chance {
				continue
			}
			m.alter(w, name, c)
		}
		if m.rng.Float64() < chance {
			m.lookAlike(w)
		}
	})
}

func (m *model) alter(w *File, name string, c *Container) {
	sidecar := c.Labels[spec.LabelRole] == spec.RoleSidecar
	switch m.rng.IntN(8) {
	case 0:
		c.Running, c.State, c.Document = false, nil, nil
	case 1:
		delete(w.Containers, name)
	case 2:
		c.Altered = []string{"memory limit raised"}
	case 3:
		w.Next++
		w.Containers[fmt.Sprint("by-hand-", w.Next)] = c
		delete(w.Containers, name)
	case 4:
		if sidecar && c.Running {
			c.State = &egress.StateLine{Version: 1, State: egress.StateUnconfigured}
		}
	case 5:
		if sidecar && c.Running && c.State != nil {
			other := []egress.Route{{Host: "**.example.com", Port: 443}}
			c.State.Rules, c.Document = egress.Rules{Routes: other}.Digest(), &egress.Document{Routes: other}
		}
	case 6:
		c.Labels[spec.LabelSpecJSON] = "of another version"
		if !sidecar {
			c.Labels[spec.LabelSpec] = "v0:1"
		}
	case 7:
		if !sidecar && c.Running {
			c.Sessions = m.rng.IntN(3)
		}
	}
}

// lookAlike puts something of somebody else under a name of ours.
func (m *model) lookAlike(w *File) {
	id := spec.ID{
		Scope: []string{homeScope, repoScope}[m.rng.IntN(2)], Agent: []string{"a", "b", "c"}[m.rng.IntN(3)],
		Replica: fmt.Sprint(1 + m.rng.IntN(2)),
	}
	switch m.rng.IntN(4) {
	case 0:
		foreign(w, "container", id.Name())
	case 1:
		foreign(w, "container", id.Sidecar())
	case 2, 3:
		// No engine lets go of a volume that a container holds.
		if name := []string{id.DoorVolume(), id.CAVolume()}[m.rng.IntN(2)]; w.Volumes[name] == nil {
			foreign(w, "volume", name)
		}
	}
}

// meanwhile is what happens between two calls of bb.
func (m *model) meanwhile(id spec.ID) {
	if m.faults == 0 || id.Scope == "" {
		return
	}
	event := m.rng.IntN(40)
	if event > 5 {
		return
	}
	change(m.t, m.d, func(w *File) {
		agent, gate := w.Containers[id.Name()], w.Containers[id.Sidecar()]
		switch event {
		case 0, 1, 2:
			if agent != nil && agent.Running && agent.Labels[spec.LabelOwner] == owner {
				agent.Sessions++
			}
		case 3:
			m.lookAlike(w)
		case 4:
			if gate != nil && gate.Labels[spec.LabelOwner] == owner {
				gate.Running, gate.State = false, nil
			}
		case 5:
			if gate != nil && gate.Labels[spec.LabelOwner] == owner {
				delete(w.Containers, id.Sidecar())
			}
		}
	})
}

// tidy is what a plan asks of a person: what has a name of ours goes, and
// nobody uses a bottle any more.
func (m *model) tidy() {
	change(m.t, m.d, func(w *File) {
		for name, labels := range everything(w) {
			_, _, ours := spec.ParseIdentity(owner, name, labels)
			if scope := spec.ScopeOf(name); !ours && (scope == homeScope[:6] || scope == repoScope[:6]) && name != "bb-stranger-012345" && name != "bb-stranger-012345_ca" {
				delete(w.Containers, name)
				delete(w.Volumes, name)
			}
		}
	})
}
