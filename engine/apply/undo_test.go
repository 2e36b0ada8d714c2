package apply

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/plan/plantest"
	"github.com/bot-bottle/bb/engine/spec"
)

var errBoom = errors.New("boom")

// creation is a plan that creates two bottles; half says which of them has
// something of it there already.
func creation(half ...string) *plan.Plan {
	a, b := plantest.Spec("a"), plantest.Spec("b")
	w := plantest.World("docker", []*spec.Spec{a, b})
	for _, name := range half {
		i := plantest.Running(map[string]*spec.Spec{"a": a, "b": b}[name])
		i.Agent = nil
		w.Instances = append(w.Instances, i)
	}
	return plan.Diff(plantest.Desired(a, b), []plan.World{w})
}

// TestUndo: what a failed creation began is removed again, of itself only and
// only where nothing of it existed; never after an interrupt.
func TestUndo(t *testing.T) {
	all := []string{"remove_agent a", "remove_sidecar a", "remove_volumes a"}
	for _, tt := range []struct {
		name   string
		half   []string
		fails  []string
		keep   bool
		stop   string // after this operation
		cancel string // in this operation
		undid  []string
		undone []string
		err    string
	}{
		{name: "nothing fails"},
		{name: "early", fails: []string{"create_sidecar a"}, undid: all, undone: []string{"a"}, err: "a: boom"},
		{name: "late", fails: []string{"start_agent a"}, undid: all, undone: []string{"a"}, err: "a: boom"},
		{name: "before anything was begun", fails: []string{"prepare"}, err: "docker: boom"},
		{name: "the image, while its gate is made", fails: []string{"ensure_image a"}, undid: append(all, "remove_agent b", "remove_sidecar b", "remove_volumes b"), undone: []string{"a", "b"}, err: "image shell: boom"},
		{name: "kept", fails: []string{"start_agent a"}, keep: true, err: "a: boom"},
		{name: "something was there", half: []string{"a"}, fails: []string{"start_agent a"}, err: "a: boom"},
		{
			name: "undo fails", fails: []string{"start_agent a", "remove_sidecar a"},
			undid: []string{"remove_agent a", "remove_sidecar a"}, err: "a: boom\nwhat was begun could not be removed again: a: boom",
		},
		{
			name: "one undo of two fails", fails: []string{"start_agent a", "start_agent b", "remove_agent b"},
			undid: append(all, "remove_agent b"), undone: []string{"a"},
			err: "a: boom\nb: boom\nwhat was begun could not be removed again: b: boom",
		},
		{name: "stopped", fails: []string{"configure a"}, stop: "configure a", err: "a: boom\n" + ErrStopped.Error()},
		{name: "cancelled", cancel: "configure a", err: "a: context canceled\n" + ErrStopped.Error() + "\ncontext canceled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stop := make(chan struct{})
			var mu sync.Mutex
			undid := map[string]bool{}
			r, err := Run(ctx, creation(tt.half...), func(ctx context.Context, n plan.Node) error {
				mu.Lock()
				defer mu.Unlock()
				what := string(n.Op)
				if n.Op != plan.OpPrepare {
					what += " " + n.Instance.String()
				}
				if strings.HasPrefix(what, "remove") {
					undid[what] = true
				}
				if what == tt.stop {
					close(stop)
				}
				if what == tt.cancel {
					cancel()
					return ctx.Err()
				}
				for _, f := range tt.fails {
					if f == what {
						return errBoom
					}
				}
				return nil
			}, Options{Parallel: 1, Stop: stop, KeepFailed: tt.keep})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.err {
				t.Errorf("error %q, want %q", got, tt.err)
			}
			want := map[string]bool{}
			for _, u := range tt.undid {
				want[u] = true
			}
			if d := cmp.Diff(want, undid); d != "" {
				t.Errorf("undid (-want +got):\n%s", d)
			}
			var undone []string
			for _, id := range r.Undone {
				undone = append(undone, id.String())
			}
			if d := cmp.Diff(tt.undone, undone); d != "" {
				t.Errorf("undone (-want +got):\n%s", d)
			}
		})
	}
}

// TestMovedWithRemains: an instance that is replaced here and removed there is
// two changes, and each has its own outcome.
func TestMovedWithRemains(t *testing.T) {
	here := plantest.Spec("dev")
	there := plantest.Running(here)
	there.Backend = "smolvm"
	d := plantest.Desired(here)
	p := plan.Diff(d, []plan.World{
		plantest.World("docker", d.Specs, plantest.Running(here)), plantest.World("smolvm", nil, there),
	})
	r, err := Run(t.Context(), p, func(_ context.Context, n plan.Node) error { return errBoom }, Options{})
	if err == nil || len(r.Outcomes) != 1 || r.Outcomes[0].Status != Failed || r.Outcomes[0].Change.Backend != "smolvm" {
		t.Errorf("%v: %+v", err, r.Outcomes)
	}
	moved := plan.Diff(plantest.Desired(here), []plan.World{plantest.World("docker", d.Specs), plantest.World("smolvm", nil, there)})
	r, err = Run(t.Context(), moved, func(_ context.Context, n plan.Node) error {
		if n.Backend == "smolvm" {
			return errBoom
		}
		return nil
	}, Options{})
	if err == nil || len(r.Outcomes) != 1 || r.Outcomes[0].Status != Failed || r.Summary.Replace != 0 {
		t.Errorf("a move whose old side stays: %v: %+v", err, r)
	}
}

// TestStress: over many small graphs, no node runs before all that it waits
// for succeeded, nothing runs behind a failure, at most Parallel run at once,
// and events come in order: started, then ended, once each, and nothing starts
// before the end of what it waits for was told.
func TestStress(t *testing.T) {
	for seed := range uint64(100_000) {
		rng := rand.New(rand.NewPCG(seed, 3))
		p := &plan.Plan{}
		fails := make([]bool, 1, 12)
		for id := 1; id <= 2+rng.IntN(9); id++ {
			n := node(id, fmt.Sprint("a", rng.IntN(3)), plan.OpConfigure)
			for d := 1; d < id; d++ {
				if rng.IntN(3) == 0 {
					n.DependsOn = append(n.DependsOn, d)
				}
			}
			fails = append(fails, rng.IntN(6) == 0)
			p.Nodes = append(p.Nodes, n)
		}
		limit := int32(1 + rng.IntN(4))
		var running atomic.Int32
		var complaint atomic.Value
		ended := make([]Status, len(p.Nodes)+1)
		r, _ := Run(t.Context(), p, func(_ context.Context, n plan.Node) error {
			if running.Add(1) > limit {
				complaint.Store("more at once than allowed")
			}
			defer running.Add(-1)
			if fails[n.ID] {
				return errBoom
			}
			return nil
		}, Options{Parallel: int(limit), On: func(e Event) {
			old := ended[e.Node.ID]
			switch {
			case e.Status == Started && old != "", (e.Status == Done || e.Status == Failed) && old != Started, e.Status == Skipped && old != "":
				complaint.Store(fmt.Sprintf("node %d: %s after %q", e.Node.ID, e.Status, old))
			}
			for _, d := range e.Node.DependsOn {
				if e.Status == Started && ended[d] != Done {
					complaint.Store(fmt.Sprintf("node %d started, %d is %q", e.Node.ID, d, ended[d]))
				}
			}
			ended[e.Node.ID] = e.Status
		}})
		skipped := 0
		for id, s := range ended[1:] {
			if s != Done && s != Failed && s != Skipped || (s == Failed) != (fails[id+1] && s != Skipped) {
				complaint.Store(fmt.Sprintf("node %d ended as %q", id+1, s))
			}
			if s == Skipped {
				skipped++
			}
		}
		if len(r.Skipped) != skipped {
			complaint.Store(fmt.Sprintf("%d skipped, told %d", skipped, len(r.Skipped)))
		}
		if c := complaint.Load(); c != nil {
			t.Fatalf("seed %d: %v\n%s", seed, c, p)
		}
	}
}
