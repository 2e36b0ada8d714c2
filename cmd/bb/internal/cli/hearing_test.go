package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// spoken is a driver whose sidecars say what a test has them say.
type spoken struct {
	backends.Driver
	speak func(ctx context.Context, id spec.ID, say func(v any), in io.Reader) error
}

func (s spoken) ControlStream(ctx context.Context, id spec.ID, _ string, in io.Reader, out io.Writer) error {
	return s.speak(ctx, id, func(v any) { _ = json.NewEncoder(out).Encode(v) }, in)
}

var ok = egress.Reply{OK: true}

// silent says nothing, as a sidecar that hangs.
func silent(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

const testScope = "0123456789abcdef"

// asking is what runs: a supervised bottle of each agent.
func asking(t *testing.T, d spoken, agents ...string) *planning {
	w := plan.World{Backend: "fake"}
	p := &planning{
		compiled: &compiled{fleet: &manifest.Fleet{}, scopes: scopes{home: testScope}, state: &state.State{Dir: t.TempDir()}},
		drivers:  drivers{"fake": d},
	}
	for _, name := range agents {
		id := spec.ID{Scope: testScope, Agent: name, Replica: "1"}
		w.Instances = append(w.Instances, plan.Instance{
			ID: id, Backend: "fake", Agent: &plan.Part{SpecJSON: `{"supervise":true}`}, Sidecar: &plan.Part{Ref: "r", Running: true},
			State: &egress.StateLine{State: egress.StateConfigured},
		})
		p.specs = append(p.specs, &spec.Spec{ID: id})
	}
	p.seen = []plan.World{w}
	return p
}

// proposal is a good one.
func proposal(n int) *egress.Proposal {
	return &egress.Proposal{
		ID: fmt.Sprintf("%016x", n), Kind: egress.ProposeRoute, Created: time.Date(2026, 1, 2, 3, 4, n, 0, time.UTC), Reason: "r",
		Route: &egress.Route{Host: "a.example.com", Port: 443, Source: egress.SourceAsked},
	}
}

// Sidecars that are silent hold up nobody for longer than one may, are named each,
// and nobody is told that nothing waits.
func TestSilentSidecars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{})
		d := spoken{speak: func(ctx context.Context, id spec.ID, say func(any), _ io.Reader) error {
			if id.Agent == "late" {
				select {
				case <-wake:
				case <-ctx.Done():
				}
			}
			if id.Agent == "good" || id.Agent == "late" {
				say(ok)
				say(egress.SuperviseEvent{Proposal: proposal(len(id.Agent))})
				say(egress.SuperviseEvent{Listed: true})
			}
			return silent(ctx)
		}}
		p := asking(t, d, "good", "hangs", "late")
		began := time.Now()
		all, _, err := p.waiting(t.Context(), false)
		if waited := time.Since(began); waited != listTime || len(all) != 1 || all[0].Bottle != "good" || err == nil {
			t.Errorf("%d wait, %v after %s", len(all), err, waited)
		}
		for _, name := range []string{"hangs", "late"} {
			if !strings.Contains(fmt.Sprint(err), "the sidecar of "+name+" is silent") {
				t.Errorf("%s is not named: %v", name, err)
			}
		}
		// A screen waits less, and once; what is told later is shown later.
		w := newWatching(t.Context())
		defer w.close()
		began = time.Now()
		all, _ = w.list(p)
		if waited := time.Since(began); waited != screenTime || len(all) != 1 {
			t.Errorf("%d wait after %s", len(all), waited)
		}
		began = time.Now()
		all, err = w.list(p)
		if waited := time.Since(began); waited != 0 || len(all) != 1 || err == nil {
			t.Errorf("%d wait after %s more, %v", len(all), waited, err)
		}
		close(wake)
		synctest.Wait()
		all, err = w.list(p)
		if len(all) != 2 || strings.Contains(err.Error(), "late") {
			t.Errorf("%d wait, %v", len(all), err)
		}
		// One that told, and then is silent for longer than any that lives, is gone.
		time.Sleep(silence + firstPause/2)
		if all, err = w.list(p); len(all) != 2 || !strings.Contains(fmt.Sprint(err), "the sidecar of late is silent") {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := p.waiting(ctx, false); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
	})
}

// A conversation that breaks is begun again, ever later: those that chase each
// other away come to rest. Another sidecar is asked at once.
func TestBrokenConversations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int32
		p := asking(t, spoken{speak: func(_ context.Context, _ spec.ID, say func(any), _ io.Reader) error {
			begun.Add(1)
			say(ok)
			say(egress.SuperviseEvent{Listed: true})
			say(egress.SuperviseEvent{Ended: "too many watch it: another came\n\x1b[2J"})
			return nil
		}}, "dev")
		w := newWatching(t.Context())
		defer w.close()
		look := func(d time.Duration) (err error) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(watchEvery) {
				_, err = w.list(p)
				synctest.Wait()
			}
			return err
		}
		if err := look(2 * time.Minute); err == nil || !strings.Contains(err.Error(), `too many watch it: another came \u001b[2J`) {
			t.Errorf("it says %v", err)
		}
		if n := begun.Load(); n < 6 || n > 10 {
			t.Errorf("it was asked %d times in two minutes", n)
		}
		before := begun.Load()
		p.seen[0].Instances[0].Sidecar.Ref = "another"
		_ = look(time.Second)
		if begun.Load() == before {
			t.Error("a new sidecar waits for the old one's time")
		}
	})
}

// The host believes a sidecar nothing that no agent could have asked.
func TestHearingJudges(t *testing.T) {
	hear := func(t *testing.T, events ...egress.SuperviseEvent) ([]asked, error) {
		p := asking(t, spoken{speak: func(ctx context.Context, _ spec.ID, say func(any), _ io.Reader) error {
			say(ok)
			for _, e := range events {
				say(e)
			}
			say(egress.SuperviseEvent{Listed: true})
			return silent(ctx)
		}}, "dev")
		all, _, err := p.waiting(t.Context(), false)
		return all, err
	}
	bad := proposal(1)
	bad.ID = "../../../../evil"
	all, err := hear(t, egress.SuperviseEvent{Proposal: bad}, egress.SuperviseEvent{Proposal: proposal(2)})
	if len(all) != 1 || all[0].Proposal.ID != proposal(2).ID || err == nil || !strings.Contains(err.Error(), "a proposal that is none: its id") {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err = hear(t, egress.SuperviseEvent{Proposal: proposal(1)}, egress.SuperviseEvent{Proposal: proposal(1)}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("%v", err)
	}
	var many []egress.SuperviseEvent
	for n := range egress.MaxWaiting + 1 {
		many = append(many, egress.SuperviseEvent{Proposal: proposal(n)})
	}
	if all, err = hear(t, many...); len(all) != egress.MaxWaiting || err == nil || !strings.Contains(err.Error(), "more proposals than can wait") {
		t.Errorf("%d wait, %v", len(all), err)
	}
	if all, err = hear(t, many[:egress.MaxWaiting]...); len(all) != egress.MaxWaiting || err != nil {
		t.Errorf("%d wait, %v", len(all), err)
	}
}

// A conversation that was given up says so to who still listens.
func TestTalkIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := spoken{speak: func(ctx context.Context, _ spec.ID, say func(any), _ io.Reader) error {
			say(ok)
			for ctx.Err() == nil {
				say(egress.SuperviseEvent{})
			}
			return nil
		}}
		talk := newTalk(t.Context(), d, spec.ID{Agent: "dev"})
		synctest.Wait() // as much is said as there is room for
		talk.close()
		for range 100 {
			if _, err := talk.next(t.Context()); err != nil {
				_, again := talk.next(t.Context())
				if again == nil {
					t.Error("it goes on after its end")
				}
				return
			}
		}
		t.Error("it does not end")
	})
}

// A sidecar that takes no answer holds nobody who gives one.
func TestAnswerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, d := range map[string]spoken{
			"silent": {speak: func(ctx context.Context, _ spec.ID, _ func(any), _ io.Reader) error { return silent(ctx) }},
			"deaf": {speak: func(ctx context.Context, _ spec.ID, say func(any), _ io.Reader) error {
				say(ok)
				say(egress.SuperviseEvent{Listed: true})
				return silent(ctx)
			}},
		} {
			began := time.Now()
			err := tell(t.Context(), d, spec.ID{Agent: "dev"}, egress.Answer{ID: "0"})
			if waited := time.Since(began); err == nil || !strings.Contains(err.Error(), "is silent") || waited != listTime {
				t.Errorf("%s: %v after %s", name, err, waited)
			}
		}
	})
}

// What waits is told again when its digest moved: who answers by it needs the new.
func TestWatchTellsWhatMoved(t *testing.T) {
	var out bytes.Buffer
	a, c := &app{stdout: &out}, &superviseListCmd{JSON: true}
	known := map[string]asked{}
	x := asked{Proposal: *proposal(1), Bottle: "dev", Digest: "1"}
	for _, digest := range []string{"1", "1", "2", "2"} {
		x.Digest = digest
		if err := c.tell(a, known, []asked{x}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.tell(a, known, nil); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"digest":"1"`) || !strings.Contains(lines[1], `"digest":"2"`) || !strings.Contains(lines[2], `"gone"`) {
		t.Errorf("%q", lines)
	}
}

func TestOneID(t *testing.T) {
	ids := []string{"0123456789abcdef", "0123aaaaaaaaaaaa", "ffff000000000000", "ffff000000000000"}
	for name, want := range map[string]string{
		"": "is no id", "012": "is no id", "xyzw": "is no id", "0123\n": "is no id", "0123": "2 proposals begin", "01234": ids[0],
		"ffff": "2 proposals begin", "eeee": "nothing that waits is called eeee", "0123456789abcdef0": "nothing that waits",
	} {
		got, err := oneID(name, ids, "waits", "h")
		if got != want && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %q, %v, want %q", name, got, err, want)
		}
	}
}
