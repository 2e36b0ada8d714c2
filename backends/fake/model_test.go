package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

const modelScope = "0123456789abcdef"

// model is a fleet that is edited and applied at random, with faults.
type model struct {
	t     *testing.T
	d     *Driver
	rng   *rand.Rand
	specs map[spec.ID]*spec.Spec
	mu    sync.Mutex
}

// TestModel: whatever is edited, whichever driver calls fail, and wherever bb
// is killed, one clean apply makes the world equal the desire; and at no point
// does bb touch what is not its own, or let an agent run under a policy that
// is not its own.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{
				t: t, rng: rand.New(rand.NewPCG(seed, 7)), specs: map[spec.ID]*spec.Spec{},
				d: New(Options{Path: filepath.Join(t.TempDir(), "world.json"), Owner: owner, Key: key, Version: "1"}),
			}
			change(t, m.d, func(w *File) {
				foreign(w, "container", "bb-stranger-012345")
				foreign(w, "volume", "bb-stranger-012345_ca")
				w.Containers["unrelated"] = &Container{Ref: "x", Running: true}
			})
			for range 8 {
				m.edit()
				m.drift()
				m.apply(0.15)
			}
			m.apply(0)
			m.converged()
		})
	}
}

// edit changes the desire: instances come, go and change in either half.
func (m *model) edit() {
	for _, agent := range []string{"a", "b", "c"} {
		for replica := 1; replica <= 2; replica++ {
			id := spec.ID{Scope: modelScope, Agent: agent, Replica: fmt.Sprint(replica)}
			switch m.rng.IntN(4) {
			case 0:
				delete(m.specs, id)
			case 1, 2:
				m.specs[id] = m.spec(id)
			}
		}
	}
}

func (m *model) spec(id spec.ID) *spec.Spec {
	s := &spec.Spec{
		ID: id, Backend: "fake", Image: spec.Image{Name: fmt.Sprint("i", m.rng.IntN(2)), Recipe: "FROM x"},
		Fixed: spec.Fixed{Backend: "fake", Env: []spec.Env{{Name: "N", Kind: spec.EnvLiteral, Value: fmt.Sprint(m.rng.IntN(2))}}},
		Live: spec.Live{
			Routes: []egress.Route{{Host: fmt.Sprintf("h%d.example.com", m.rng.IntN(3)), Port: 443}},
			Tokens: map[string]string{},
		},
		Gate: spec.Gate{Network: []string{"", "lan"}[m.rng.IntN(2)]},
	}
	if m.rng.IntN(2) == 0 {
		s.Live.Routes[0].Auth = &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}
		s.Live.Tokens["EGRESS_TOKEN_0"] = "TOKEN"
	}
	if m.rng.IntN(2) == 0 {
		s.Live.GitUser.Name = fmt.Sprint("n", m.rng.IntN(2))
	}
	if m.rng.IntN(2) == 0 {
		s.Live.Prompt = fmt.Sprint("p", m.rng.IntN(2))
	}
	if m.rng.IntN(2) == 0 {
		s.Fixed.Env = append(s.Fixed.Env, spec.Env{Name: "S", Kind: spec.EnvHost, Value: "HOST"})
	}
	return s
}

// drift changes the world behind bb's back.
func (m *model) drift() {
	change(m.t, m.d, func(w *File) {
		for name, c := range w.Containers {
			if c.Labels[spec.LabelOwner] != owner {
				continue
			}
			switch m.rng.IntN(8) {
			case 0:
				c.Running, c.State = false, nil
			case 1:
				delete(w.Containers, name)
			case 2:
				if c.Labels[spec.LabelRole] == spec.RoleSidecar && c.Running {
					c.State = &egress.StateLine{Version: 1, State: egress.StateUnconfigured}
				}
			}
		}
	})
}

func (m *model) plan() *plan.Plan {
	var list []*spec.Spec
	d := plan.Desired{
		Scopes: []string{modelScope}, Prune: true,
		Hash: func(s *spec.Spec) (string, string) { return s.Hash(key), s.FixedJSON(key) },
	}
	for _, s := range m.specs {
		list = append(list, s)
	}
	d.Specs = list
	w, err := m.d.Observe(m.t.Context(), plan.Query{Owner: owner, Scopes: d.Scopes, Specs: list})
	if err != nil {
		m.t.Fatal(err)
	}
	return plan.Diff(d, []plan.World{w})
}

var errFault = errors.New("injected fault")

// apply walks one plan; calls fail with the given probability, and sometimes
// bb is killed: nothing more happens after that call.
func (m *model) apply(faults float64) {
	p := m.plan()
	killed := false
	_, err := apply.Run(m.t.Context(), p, func(ctx context.Context, n plan.Node) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if killed {
			return errFault
		}
		if m.rng.Float64() < faults {
			killed = m.rng.IntN(3) == 0
			if m.rng.IntN(2) == 0 {
				return errFault // before the call; otherwise after it
			}
			m.do(ctx, n)
			return errFault
		}
		m.do(ctx, n)
		return nil
	}, apply.Options{Parallel: 3})
	if err != nil && faults == 0 {
		m.t.Fatalf("%v\n%s", err, p)
	}
}

// do performs one node and holds the world to what must be true at any time.
func (m *model) do(ctx context.Context, n plan.Node) {
	if n.Op == plan.OpConfigure {
		m.noStranger(n)
	}
	s := spec.Secrets{Tokens: map[string]string{}, Digests: map[string]string{}}
	if n.Spec != nil {
		for slot, ref := range n.Spec.Live.Tokens {
			s.Tokens[slot], s.Digests[slot] = "value", key.Digest(n.Spec.ID.Name(), ref, "value")
		}
	}
	if err := backends.Do(ctx, m.d, n, s); err != nil {
		m.t.Errorf("%s: %v", n, err)
	}
	if n.Op == plan.OpStartAgent {
		change(m.t, m.d, func(w *File) {
			gate := w.Containers[n.Instance.Sidecar()]
			if gate == nil || !gate.Running || gate.State == nil || gate.State.State != egress.StateConfigured ||
				gate.State.Live[spec.PartEgress] != n.Spec.LiveHashes()[spec.PartEgress] {
				m.t.Errorf("%s: the agent runs without its own policy in force", n)
			}
		})
	}
}

// noStranger: a policy must not reach an agent of another fixed half.
func (m *model) noStranger(n plan.Node) {
	change(m.t, m.d, func(w *File) {
		agent := w.Containers[n.Instance.Name()]
		if agent != nil && agent.Running && agent.Labels[spec.LabelSpec] != n.Spec.Hash(key) {
			m.t.Errorf("%s: an agent that is to be replaced gets its successor's policy", n)
		}
	})
}

// converged compares the world with the desire.
func (m *model) converged() {
	if p := m.plan(); !p.Empty() || p.Unchanged != len(m.specs) {
		m.t.Errorf("a second plan has changes: %v\n%s", p.Changes, p)
	}
	change(m.t, m.d, func(w *File) {
		want := map[string]bool{"bb-stranger-012345": true, "unrelated": true}
		for id, s := range m.specs {
			want[id.Name()], want[id.Sidecar()] = true, true
			gate, agent := w.Containers[id.Sidecar()], w.Containers[id.Name()]
			if gate == nil || agent == nil {
				continue // told below
			}
			if d := cmp.Diff(s.LiveHashes(), gate.State.Live); d != "" || !agent.Running || !gate.Running {
				m.t.Errorf("%s: running %v and %v, live half %s", id, agent.Running, gate.Running, d)
			}
		}
		got := map[string]bool{}
		for name := range w.Containers {
			got[name] = true
		}
		if d := cmp.Diff(want, got); d != "" {
			m.t.Errorf("containers: %s", d)
		}
		volumes := map[string]bool{"bb-stranger-012345_ca": true}
		for id := range m.specs {
			volumes[id.DoorVolume()], volumes[id.CAVolume()] = true, true
		}
		if d := cmp.Diff(maps.Collect(keys(volumes)), maps.Collect(keys(w.Volumes))); d != "" {
			m.t.Errorf("volumes: %s", d)
		}
	})
}

func keys[V any](m map[string]V) func(func(string, bool) bool) {
	return func(yield func(string, bool) bool) {
		for k := range m {
			if !yield(k, true) {
				return
			}
		}
	}
}
