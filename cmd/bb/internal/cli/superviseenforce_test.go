package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/lock"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// answerHome is a home with one agent, on the in-memory backend.
type answerHome struct {
	t    *testing.T
	home string
	a    *app
	id   spec.ID
	said bytes.Buffer
}

func newAnswerHome(t *testing.T) *answerHome {
	t.Helper()
	h := &answerHome{t: t, home: filepath.Join(t.TempDir(), "home")}
	t.Setenv("BB_HOME", h.home)
	t.Setenv("BB_BACKEND", "fake")
	h.declare("")
	if err := os.MkdirAll(filepath.Join(h.home, "agents"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.home, "agents", "dev.md"), []byte("---\nbottle: plain\n---\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.a = &app{g: &grammar{Home: h.home, Backend: "fake"}, stdin: strings.NewReader(""), stdout: &h.said, stderr: &h.said, screen: view.NewScreen(&h.said, nil)}
	h.must("apply", "-y")
	p, err := h.a.planning(nil, state.Open)
	if err != nil {
		t.Fatal(err)
	}
	h.id = p.specs[0].ID
	return h
}

// declare writes the bottle, with more routes.
func (h *answerHome) declare(more string) {
	h.t.Helper()
	dir := filepath.Join(h.home, "bottles")
	text := "---\nagent_provider: {template: shell}\nsupervise: true\negress:\n  routes:\n    - host: api.example.com\n" + more + "---\n"
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "plain.md"), []byte(text), 0o600)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *answerHome) bb(args ...string) (int, string) {
	var out bytes.Buffer
	return Main(args, strings.NewReader(""), &out, &out), out.String()
}

func (h *answerHome) must(args ...string) string {
	h.t.Helper()
	code, out := h.bb(args...)
	if code != 0 {
		h.t.Fatalf("bb %q exits %d: %s", args, code, out)
	}
	return out
}

func (h *answerHome) store() approval.Store {
	return approval.Store{Dir: filepath.Join(h.home, "state", "approvals")}
}

// approve writes what was approved, without putting it in force.
func (h *answerHome) approve(host string) approval.Overlay {
	h.t.Helper()
	word := approval.Word{Proposal: "00112233445566aa", By: "ann", At: time.Now().UTC()}
	o := approval.Overlay{}.Approve(egress.Route{Host: host, Port: 443}, nil, word, time.Hour)
	if err := h.store().Write(h.id, o); err != nil {
		h.t.Fatal(err)
	}
	return o
}

// open reports whether a host can be reached now, by the sidecar's own word.
func (h *answerHome) open(host string) bool {
	h.t.Helper()
	p, err := h.a.supervising(h.t.Context(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	now, err := p.enforced(h.t.Context(), h.id)
	if err != nil || len(now) != 1 {
		h.t.Fatalf("%+v, %v", now, err)
	}
	return egress.Find(now[0].doc.Routes, host, 443, time.Now()) != nil
}

// What was approved or taken back while an apply, a run or a start was on its way
// to the lock is what they put in force.
func TestApprovalsAreReadUnderTheLock(t *testing.T) {
	for name, plan := range map[string]func(context.Context, *planning) (executeOptions, error){
		"apply": func(ctx context.Context, p *planning) (executeOptions, error) {
			return executeOptions{operation: "apply", quiet: true}, p.look(ctx)
		},
		"start": func(ctx context.Context, p *planning) (executeOptions, error) {
			again := func(ctx context.Context) error { return p.alone(ctx, p.specs[0]) }
			return executeOptions{operation: "start", quiet: true, replan: again}, again(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newAnswerHome(t)
			between := func(work func()) {
				t.Helper()
				p, err := h.a.planning([]string{"dev"}, state.Open)
				if err != nil {
					t.Fatal(err)
				}
				o, err := plan(t.Context(), p)
				if err != nil || len(p.plan.Nodes) == 0 {
					t.Fatalf("%v, %d nodes", err, len(p.plan.Nodes))
				}
				work()
				if err := p.execute(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			h.declare("    - host: second.example.com\n")
			between(func() { h.approve("wanted.example.com") })
			if !h.open("wanted.example.com") || !h.open("second.example.com") {
				t.Error("what was approved meanwhile is undone")
			}
			h.declare("    - host: third.example.com\n")
			between(func() { h.must("supervise", "revoke", "dev") })
			if h.open("wanted.example.com") || !h.open("third.example.com") {
				t.Error("what was taken back meanwhile is open again")
			}
			if out := h.must("plan"); !strings.Contains(out, "No changes") {
				t.Error(out)
			}
		})
	}
}

// A revoke waits for whoever works on the scope, says that it did not come to it,
// and closes the route when it is called again.
func TestRevokeUnderAnApply(t *testing.T) {
	h := newAnswerHome(t)
	h.approve("wanted.example.com")
	h.must("apply", "-y")
	if !h.open("wanted.example.com") {
		t.Fatal("it is not in force")
	}
	held, err := lock.Acquire(t.Context(), filepath.Join(h.home, "state"), h.id.Scope, "apply", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	code, out := h.bb("supervise", "revoke", "dev", "--lock-timeout", "300ms")
	if code != exitFailed || !strings.Contains(out, "another bb works on this scope: apply") || strings.Contains(out, "Taken back") {
		t.Errorf("exits %d: %s", code, out)
	}
	records, err := h.store().Records(h.id)
	if err != nil || len(records) > 0 || !h.open("wanted.example.com") {
		t.Errorf("%+v, %v", records, err)
	}
	waited := make(chan string)
	go func() { _, out := h.bb("supervise", "revoke", "dev"); waited <- out }()
	time.Sleep(300 * time.Millisecond)
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	if out := <-waited; !strings.Contains(out, "waiting for another bb: apply") || !strings.Contains(out, "Taken back: 1.") || h.open("wanted.example.com") {
		t.Error(out)
	}
}

// What takes something back puts nothing else in force: not what was approved and
// did not come to it, and not what a manifest, broken or not, says by now.
func TestRevokeAddsNothing(t *testing.T) {
	for name, more := range map[string]string{
		"as it was": "", "changed": "    - host: other.example.com\n", "broken": "    - hots: other.example.com\n",
	} {
		h := newAnswerHome(t)
		o := h.approve("wanted.example.com")
		h.must("apply", "-y")
		word := approval.Word{Proposal: "00112233445566bb", By: "ann", At: time.Now().UTC()}
		o = o.Approve(egress.Route{Host: "pending.example.com", Port: 443}, nil, word, time.Hour)
		if err := h.store().Write(h.id, o); err != nil {
			t.Fatal(err)
		}
		h.declare(more)
		out := h.must("supervise", "revoke", "dev", "00112233445566a")
		h.declare("")
		if !strings.Contains(out, "Taken back: 1.") || h.open("wanted.example.com") || h.open("pending.example.com") || h.open("other.example.com") || !h.open("api.example.com") {
			t.Errorf("%s: %s", name, out)
		}
		if out := h.must("plan"); !strings.Contains(out, "pending.example.com") {
			t.Errorf("%s: what is not in force is not told of: %s", name, out)
		}
		h.must("supervise", "revoke", "dev")
	}
}

// late is a driver whose first configure comes through, and says that it did not;
// the second, where it fails too, does not come through.
type late struct {
	backends.Driver
	fails, calls int
}

func (d *late) Configure(ctx context.Context, s *spec.Spec, secrets spec.Secrets, parts []string) error {
	d.calls++
	var err error
	if d.calls != 2 || d.fails < 2 {
		err = d.Driver.Configure(ctx, s, secrets, parts)
	}
	if d.calls <= d.fails {
		return errors.Join(err, errors.New("the connection broke"))
	}
	return err
}

// What failed to come in force is not in force, or the person is told that it may be.
func TestApprovalThatFailsIsPutBack(t *testing.T) {
	for fails, said := range map[int]string{1: "", 2: "it may be in force nevertheless"} {
		h := newAnswerHome(t)
		p, err := h.a.supervising(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		now, err := p.enforced(t.Context(), h.id)
		if err != nil {
			t.Fatal(err)
		}
		p.drivers["fake"] = &late{Driver: p.drivers["fake"], fails: fails}
		route := egress.Route{Host: "wanted.example.com", Port: 443}
		y := &accepted{
			app: h.a, p: p, now: now[0], want: p.specs[0], c: &superviseApproveCmd{For: time.Hour},
			x: asked{Proposal: egress.Proposal{ID: "00112233445566aa", Kind: egress.ProposeRoute, Route: &route}, id: h.id},
		}
		_, err = y.allow(t.Context(), &approval.Record{Time: time.Now()})
		if err == nil || !strings.Contains(err.Error(), "the connection broke") || !strings.Contains(err.Error(), said) {
			t.Errorf("%v", err)
		}
		if o, err := h.store().Read(h.id); err != nil || !o.Empty() {
			t.Errorf("%+v, %v", o, err)
		}
		if fails == 1 && h.open("wanted.example.com") {
			t.Error("it is in force")
		}
		if fails == 1 {
			if out := h.must("plan"); !strings.Contains(out, "No changes") {
				t.Error(out)
			}
			continue
		}
		// What nobody has on record any more is found in force, and taken back.
		if out := h.must("supervise", "revoke", "dev"); !strings.Contains(out, "Taken back: 1.") || h.open("wanted.example.com") {
			t.Error(out)
		}
	}
}

// A revoke that fails is told and on record as such, and the next one closes it.
func TestRevokeThatFails(t *testing.T) {
	h := newAnswerHome(t)
	h.approve("wanted.example.com")
	h.must("apply", "-y")
	world := filepath.Join(h.home, "state", "fake.json")
	fault := func(on bool) {
		b, err := os.ReadFile(world)
		if err != nil {
			t.Fatal(err)
		}
		w := map[string]any{}
		if err := json.Unmarshal(b, &w); err != nil {
			t.Fatal(err)
		}
		delete(w, "faults")
		if on {
			w["faults"] = map[string]string{"configure": "the engine went"}
		}
		if b, err = json.Marshal(w); err == nil {
			err = os.WriteFile(world, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fault(true)
	code, out := h.bb("supervise", "revoke", "dev")
	if code != exitFailed || !strings.Contains(out, "the engine went") || !strings.Contains(out, "may still be in force") || strings.Contains(out, "Taken back") {
		t.Errorf("exits %d: %s", code, out)
	}
	events := func() (out []string) {
		all, err := h.store().Records(h.id)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			out = append(out, r.Event)
		}
		return out
	}
	if got := strings.Join(events(), " "); got != "revoking failed" || !h.open("wanted.example.com") {
		t.Errorf("the record says %s", got)
	}
	fault(false)
	if out := h.must("supervise", "revoke", "dev"); !strings.Contains(out, "Taken back: 1.") || h.open("wanted.example.com") {
		t.Error(out)
	}
	if got := strings.Join(events(), " "); got != "revoking failed revoking revoked" {
		t.Errorf("the record says %s", got)
	}
	if out := h.must("plan"); !strings.Contains(out, "No changes") {
		t.Error(out)
	}
}

// Approvals of every instance are shown: of replicas, and of those that bb start
// made. Those that ended are not.
func TestAllApprovalsAreShown(t *testing.T) {
	h := newAnswerHome(t)
	if err := os.WriteFile(filepath.Join(h.home, "agents", "dev.md"), []byte("---\nbottle: plain\nreplicas: 2\n---\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.must("apply", "-y")
	yesterday := time.Now().Add(-24 * time.Hour)
	for replica, host := range map[string]string{"1": "one.example.com", "2": "two.example.com", "xab12": "session.example.com"} {
		id := h.id
		id.Replica = replica
		var o approval.Overlay
		for _, w := range []struct {
			host  string
			at    time.Time
			lasts time.Duration
		}{{host, yesterday, 0}, {"gone-" + host, yesterday, time.Hour}} {
			e := approval.Overlay{}.Approve(egress.Route{Host: w.host, Port: 443}, nil, approval.Word{Proposal: "00112233445566aa", By: "ann", At: w.at}, w.lasts)
			o.Routes = append(o.Routes, e.Routes...)
		}
		if err := h.store().Write(id, o); err != nil {
			t.Fatal(err)
		}
	}
	h.must("apply", "-y")
	for _, args := range [][]string{{"plan"}, {"plan", "dev"}, {"plan", "--json"}, {"info", "dev"}, {"info", "dev", "--json"}, {"supervise", "approved"}, {"supervise", "approved", "--json"}} {
		out := h.must(args...)
		for _, want := range []string{"one.example.com:443", "dev_2", "two.example.com:443", "dev_xab12", "session.example.com:443"} {
			if !strings.Contains(out, want) {
				t.Errorf("bb %v does not say %s:\n%s", args, want, out)
			}
		}
		if strings.Contains(out, "gone-") {
			t.Errorf("bb %v says what ended:\n%s", args, out)
		}
		if day := yesterday.Format("2006-01-02"); !strings.Contains(out, day) {
			t.Errorf("bb %v does not say %s:\n%s", args, day, out)
		}
	}
	if out := h.must("supervise", "approved", "dev_2"); !strings.Contains(out, "two.example.com") || strings.Contains(out, "one.example.com") {
		t.Error(out)
	}
}

// mute is a driver whose sidecars do not say what they enforce.
type mute struct{ backends.Driver }

func (mute) Control(context.Context, spec.ID, string) ([]byte, error) {
	return nil, errors.New("no answer")
}

// A sidecar that does not say what it enforces is not taken for one that has
// nothing of what was approved.
func TestRevokeOfASilentSidecar(t *testing.T) {
	h := newAnswerHome(t)
	h.approve("wanted.example.com")
	h.must("apply", "-y")
	p, _, err := h.a.instance(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	real := p.drivers["fake"]
	p.drivers["fake"] = mute{real}
	c := &superviseRevokeCmd{Bottle: "dev"}
	for _, want := range []string{"may still be in force", "no answer"} { // the second time nothing is on record
		if err := c.revoke(t.Context(), p, h.id); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "nothing of") {
			t.Errorf("%v", err)
		}
	}
	p.drivers["fake"] = real
	if err := c.revoke(t.Context(), p, h.id); err != nil || h.open("wanted.example.com") {
		t.Errorf("%v", err)
	}
}
