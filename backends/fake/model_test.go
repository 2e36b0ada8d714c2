package fake

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Scopes of the model: two in view, and one that is somebody else's.
const (
	homeScope  = "0123456789abcdef"
	repoScope  = "123456789abcdef0"
	otherScope = "23456789abcdef01"
)

// model is a fleet that is edited and applied at random: calls fail, bb is
// killed, and somebody alters the world by hand.
type model struct {
	t        *testing.T
	d        *Driver
	rng      *rand.Rand
	specs    map[spec.ID]*spec.Spec
	declared map[plan.Agent]bool
	tokens   int // how often the token of everybody was rotated
	mu       sync.Mutex

	// Of the command under way.
	faults float64
	killed bool
	want   []plan.Agent
	prune  bool
	pruned []spec.ID
	force  bool
	mayEnd map[spec.ID]bool
}

// TestModel: whatever is edited, altered by hand and asked for, whichever
// driver calls fail, and wherever bb is killed: after every call what bb does
// not own, or was not asked about, is as it was, no agent was started but
// behind its own policy, and none that somebody uses was ended without
// consent; and one clean apply makes the world equal the desire.
func TestModel(t *testing.T) {
	seeds := uint64(24)
	if os.Getenv("BB_SOAK") != "" {
		seeds = 1000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := newModel(t, seed)
			for range 8 {
				m.edit()
				m.hand(0.3)
				m.command(0.1)
				if m.rng.IntN(3) == 0 {
					m.converge()
				}
			}
			m.converge()
		})
	}
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), specs: map[spec.ID]*spec.Spec{}, declared: map[plan.Agent]bool{},
		d: New(Options{Owner: owner, Key: key, Version: "1"}),
	}
	// Another scope's bottles and ad-hoc ones run beside ours from the start.
	for _, id := range []spec.ID{
		{Scope: otherScope, Agent: "a", Replica: "1"},
		{Scope: otherScope, Agent: "z", Replica: "2"},
		{Scope: homeScope, Agent: "a", Replica: "x7f3"},
		{Scope: repoScope, Agent: "gone", Replica: "q2"},
	} {
		m.specs[id] = m.spec(id)
	}
	m.prune = true
	p := m.plan(func(d *plan.Desired) { d.Scopes = append(d.Scopes, otherScope) })
	if _, err := apply.Run(t.Context(), p, m.do, apply.Options{Parallel: 1}); err != nil {
		t.Fatal(err)
	}
	clear(m.specs)
	change(t, m.d, func(w *File) {
		foreign(w, "container", "bb-stranger-012345")
		foreign(w, "volume", "bb-stranger-012345_ca")
		w.Containers["unrelated"] = &Container{Ref: "x", Running: true}
	})
	return m
}

// edit changes the desire: instances come, go and change in either half, and
// tokens are rotated.
func (m *model) edit() {
	for _, a := range []plan.Agent{{Scope: homeScope, Name: "a"}, {Scope: homeScope, Name: "b"}, {Scope: repoScope, Name: "a"}, {Scope: repoScope, Name: "c"}} {
		some := false
		for replica := 1; replica <= 2; replica++ {
			id := spec.ID{Scope: a.Scope, Agent: a.Name, Replica: fmt.Sprint(replica)}
			switch m.rng.IntN(4) {
			case 0:
				delete(m.specs, id)
			case 1, 2:
				m.specs[id] = m.spec(id)
			}
			some = some || m.specs[id] != nil
		}
		m.declared[a] = some || m.rng.IntN(2) == 0
	}
	if m.rng.IntN(3) == 0 {
		m.tokens++
	}
}

func (m *model) spec(id spec.ID) *spec.Spec {
	coin := func() bool { return m.rng.IntN(2) == 0 }
	s := &spec.Spec{
		ID: id, Backend: "fake", Image: spec.Image{Name: fmt.Sprint("i", m.rng.IntN(2)), Recipe: "FROM x"},
		Fixed: spec.Fixed{Backend: "fake", Env: []spec.Env{{Name: "N", Kind: spec.EnvLiteral, Value: fmt.Sprint(m.rng.IntN(2))}}},
		Live: spec.Live{
			Routes: []egress.Route{{Host: fmt.Sprintf("h%d.example.com", m.rng.IntN(3)), Port: 443}},
			Tokens: map[string]string{},
		},
		Gate: spec.Gate{Network: []string{"", "lan"}[m.rng.IntN(2)]},
	}
	if coin() {
		s.Live.Routes[0].Auth = &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}
		s.Live.Tokens["EGRESS_TOKEN_0"] = "TOKEN"
	}
	if coin() {
		s.Live.GitUser.Name = fmt.Sprint("n", m.rng.IntN(2))
	}
	if coin() {
		s.Live.Prompt = fmt.Sprint("p", m.rng.IntN(2))
	}
	for _, name := range []string{"docs", "origin"} {
		if coin() {
			s.Live.Remotes = append(s.Live.Remotes, egress.Remote{
				Name: name, Upstream: fmt.Sprintf("ssh://git@h%d.example.com/%s", m.rng.IntN(2), name), Slot: "GIT_CREDENTIAL_0",
				Push: egress.Push{Force: coin()},
			})
			s.Live.Tokens["GIT_CREDENTIAL_0"] = "key:~/.ssh/id"
		}
	}
	if coin() {
		s.Live.Skills = []spec.Skill{{Name: "s", Digest: fmt.Sprint(m.rng.IntN(2))}}
	}
	if coin() {
		s.Live.UpstreamCA = "PEM"
	}
	if coin() {
		s.Live.Parent = &egress.Parent{URL: fmt.Sprintf("http://p%d.example.com:3128", m.rng.IntN(2))}
		if coin() {
			s.Live.Parent.Slot = fmt.Sprint("EGRESS_TOKEN_", len(s.Live.Tokens))
			s.Live.Tokens[s.Live.Parent.Slot] = "PROXY"
		}
	}
	if coin() {
		s.Live.Routes[0].DLP = &egress.DLP{Patterns: []string{"", "redact"}[m.rng.IntN(2)], Stream: coin()}
	}
	if coin() { // of this bb, and of one that planted none
		s.Canary = key.Canary(id.Name())
		s.Fixed.Env = append(s.Fixed.Env, spec.Env{Name: spec.CanaryEnv, Kind: spec.EnvBB, Value: s.Canary})
	}
	if coin() {
		s.Fixed.Env = append(s.Fixed.Env, spec.Env{Name: "S", Kind: spec.EnvHost, Value: "HOST"})
	}
	return s
}

func (m *model) secrets(s *spec.Spec) spec.Secrets {
	out := spec.Secrets{Tokens: map[string]string{}, Digests: map[string]string{}, Env: map[string]string{}}
	if s == nil {
		return out
	}
	value := fmt.Sprint("value", m.tokens)
	for slot, ref := range s.Live.Tokens {
		out.Tokens[slot], out.Digests[slot] = value, key.Digest(s.ID.Name(), ref, value)
	}
	if s.HasSecretEnv() {
		out.Env["S"] = "x"
	}
	return out
}

// desired is what the manifests and the command line say.
func (m *model) desired() plan.Desired {
	d := plan.Desired{
		Scopes: []string{homeScope, repoScope}, Prune: m.prune, Pruned: m.pruned, Want: m.want, Version: "1",
		Hash:    func(s *spec.Spec) (string, string) { return s.Hash(key), s.FixedJSON(key) },
		Digests: map[string]map[string]string{},
	}
	for id, s := range m.specs {
		d.Specs = append(d.Specs, s)
		d.Digests[id.Name()] = m.secrets(s).Digests
	}
	for a, yes := range m.declared {
		if yes {
			d.Declared = append(d.Declared, a)
		}
	}
	return d
}

func (m *model) plan(edits ...func(*plan.Desired)) *plan.Plan {
	d := m.desired()
	for _, e := range edits {
		e(&d)
	}
	w, err := m.d.Observe(m.t.Context(), plan.Query{Owner: owner, Scopes: d.Scopes, Specs: d.Specs})
	if err != nil {
		m.t.Fatal(err)
	}
	return plan.Diff(d, []plan.World{w})
}

// look is what bb plan does, by a driver whose every call may fail.
func (m *model) look(ctx context.Context, d backends.Driver) (*plan.Plan, error) {
	if err := d.Check(ctx); err != nil {
		return nil, err
	}
	want := m.desired()
	w, err := d.Observe(ctx, plan.Query{Owner: owner, Scopes: want.Scopes, Specs: want.Specs})
	if err != nil {
		return nil, err
	}
	p := plan.Diff(want, []plan.World{w})
	for i := range p.Changes {
		c := &p.Changes[i]
		if slices.Contains(c.Reasons, plan.EgressChanged) || slices.Contains(c.Reasons, plan.GitChanged) || slices.Contains(c.Reasons, plan.RulesChanged) {
			_, _ = d.Control(ctx, c.ID, "get") // without it the plan says only that it differs
		}
		if c.Ends() {
			if c.Sessions, err = d.Sessions(ctx, c.ID); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

var errFault = errors.New("injected fault")

// command is one bb apply as the command line does it: plan, consent, a second
// look under the lock, execution with its undo.
func (m *model) command(faults float64) {
	coin := func(n int) bool { return m.rng.IntN(n) == 0 }
	m.faults, m.killed, m.mayEnd = faults, false, map[spec.ID]bool{}
	m.prune, m.force, m.want, m.pruned = coin(2), coin(4), nil, nil
	if coin(4) {
		m.want = []plan.Agent{{Name: "a"}, {Scope: homeScope, Name: "b"}}[m.rng.IntN(2):][:1]
	}
	if coin(3) {
		m.pruned = []spec.ID{{Scope: repoScope, Agent: "c", Replica: "1"}}
	}
	ctx, d := m.t.Context(), shaky{m.d, m}
	p, err := m.look(ctx, d)
	if err != nil {
		return
	}
	yes := coin(2)
	for _, c := range p.Changes {
		if c.Ends() && c.Sessions > 0 {
			if !m.force && (yes || coin(2)) {
				return // refused, or nobody typed its name
			}
			m.mayEnd[c.ID] = true
		}
	}
	agreed := p.Fingerprint()
	if coin(3) {
		m.hand(0.2)
	}
	if p, err = m.look(ctx, d); err != nil || !yes && p.Fingerprint() != agreed {
		return
	}
	stop, once := make(chan struct{}), sync.Once{}
	o := apply.Options{Parallel: 1 + m.rng.IntN(3), Stop: stop, KeepFailed: coin(3)}
	r, err := apply.Run(ctx, p, func(ctx context.Context, n plan.Node) error {
		if err := m.do(ctx, n); err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.rng.IntN(60) == 0 {
			once.Do(func() { close(stop) }) // Ctrl-C
		}
		return nil
	}, o)
	m.undone(p, r, o, err)
}

// do performs one node as the command line does: what runs a command that
// nobody was asked about is not removed.
func (m *model) do(ctx context.Context, n plan.Node) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meanwhile(n.Instance)
	d := shaky{m.d, m}
	if n.Op == plan.OpRemoveAgent && !m.force && !m.mayEnd[n.Instance] {
		if k, err := d.Sessions(ctx, n.Instance); err != nil || k > 0 {
			return fmt.Errorf("%d commands run in it: %w", k, err)
		}
	}
	return backends.Do(ctx, d, n, m.secrets(n.Spec))
}

// undone: what Run says is removed again is gone, and nothing else was begun.
func (m *model) undone(p *plan.Plan, r apply.Result, o apply.Options, err error) {
	if len(r.Undone) > 0 && (err == nil || o.KeepFailed || r.Stopped) {
		m.t.Errorf("undone %v: error %v, %+v", r.Undone, err, o)
	}
	m.see(func(w *File) {
		for _, id := range r.Undone {
			for name, labels := range everything(w) {
				if got, _, ours := spec.ParseIdentity(owner, name, labels); ours && got == id {
					m.t.Errorf("%s was undone, and %s is there\n%s", id, name, p)
				}
			}
		}
	})
}

func (m *model) converge() {
	m.tidy()
	m.clean()
	m.converged()
}

// clean is one apply without faults, which must succeed.
func (m *model) clean() {
	m.faults, m.killed, m.prune, m.want, m.force = 0, false, true, nil, true
	p := m.plan()
	if _, err := apply.Run(m.t.Context(), p, func(ctx context.Context, n plan.Node) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		return backends.Do(ctx, shaky{m.d, m}, n, m.secrets(n.Spec))
	}, apply.Options{Parallel: 3}); err != nil {
		m.t.Errorf("%v\n%s", err, p)
	}
}

// converged compares the world with the desire.
func (m *model) converged() {
	if p := m.plan(); !p.Empty() || p.Unchanged != len(m.specs) {
		m.t.Errorf("a second plan has changes: %+v\n%s", p.Changes, p)
	}
	m.see(func(w *File) {
		want, got := map[string]bool{}, map[string]bool{}
		for id, s := range m.specs {
			for _, name := range []string{id.Name(), id.Sidecar(), id.DoorVolume(), id.CAVolume()} {
				want[name] = true
			}
			gate, agent := w.Containers[id.Sidecar()], w.Containers[id.Name()]
			if gate == nil || agent == nil {
				continue // told below
			}
			if why := m.misfit(w, s); why != "" || !agent.Running {
				m.t.Errorf("%s: runs %v, %s", id, agent.Running, why)
			}
			if d := cmp.Diff(s.LiveHashes(), gate.State.Live); d != "" {
				m.t.Errorf("%s: claims %s", id, d)
			}
			for part, hash := range s.LiveHashes() {
				if part != spec.PartEgress && agent.Inside[part] != hash {
					m.t.Errorf("%s: %s was never done", id, part)
				}
			}
			for _, x := range spec.GitConfig(s) {
				if d := cmp.Diff(x.Values, agent.Git[x.Key]); d != "" {
					m.t.Errorf("%s: git's %s: %s", id, x.Key, d)
				}
			}
			if d := cmp.Diff(s.Live.Remotes, gate.Document.Remotes); d != "" {
				m.t.Errorf("%s: its gate serves %s", id, d)
			}
			if s.HasSecretEnv() != slices.Contains(agent.Env, "S") {
				m.t.Errorf("%s: secret environment %v", id, agent.Env)
			}
			if agent.Labels[spec.LabelSpec] != s.Hash(key) || agent.Labels[spec.LabelImage] != imageRef(s) || len(agent.Altered) > 0 {
				m.t.Errorf("%s: not the agent that is wanted: %v %v", id, agent.Labels, agent.Altered)
			}
		}
		for name, labels := range everything(w) {
			if id, _, ours := spec.ParseIdentity(owner, name, labels); ours && id.Scope != otherScope && id.Replica[0] <= '9' {
				got[name] = true
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			m.t.Errorf("what is there: %s", d)
		}
	})
}

// TestEnvironmentAfterAKill: bb dies between the start of an agent and its
// secret environment, and then the sidecar forgets that it was never given.
func TestEnvironmentAfterAKill(t *testing.T) {
	m := newModel(t, 1)
	id := spec.ID{Scope: homeScope, Agent: "b", Replica: "1"}
	s := m.spec(id)
	s.Fixed.Env = []spec.Env{{Name: "S", Kind: spec.EnvHost, Value: "HOST"}}
	m.specs[id], m.declared[plan.Agent{Scope: homeScope, Name: "b"}] = s, true
	_, err := apply.Run(t.Context(), m.plan(), func(ctx context.Context, n plan.Node) error {
		if n.Op == plan.OpProvision {
			return errFault
		}
		return m.do(ctx, n)
	}, apply.Options{Parallel: 1, KeepFailed: true})
	if err == nil {
		t.Fatal("nothing was to provision")
	}
	change(t, m.d, func(w *File) {
		c := w.Containers[id.Sidecar()]
		c.Running = false
		start(c)
	})
	m.clean()
	m.converged()
}
