package apply

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

func node(id int, agent string, op plan.Op, after ...int) plan.Node {
	return plan.Node{ID: id, Op: op, Backend: "fake", Instance: spec.ID{Scope: "aaaaaaaaaaaaaaaa", Agent: agent, Replica: "1"}, DependsOn: after}
}

func create(agent string) plan.Change {
	return plan.Change{ID: spec.ID{Scope: "aaaaaaaaaaaaaaaa", Agent: agent, Replica: "1"}, Action: plan.Create}
}

// A failure stops what depends on it, and nothing else; counts come from what
// finished, and the error names the resource.
func TestFailureSkipsDependents(t *testing.T) {
	p := &plan.Plan{
		Changes: []plan.Change{create("a"), create("b")},
		Nodes: []plan.Node{
			node(1, "a", plan.OpCreateSidecar),
			node(2, "a", plan.OpConfigure, 1),
			node(3, "a", plan.OpStartAgent, 2),
			node(4, "b", plan.OpCreateSidecar),
			node(5, "b", plan.OpStartAgent, 4),
		},
	}
	boom := errors.New("boom")
	var mu sync.Mutex
	ran := map[int]bool{}
	r, err := Run(t.Context(), p, func(_ context.Context, n plan.Node) error {
		mu.Lock()
		defer mu.Unlock()
		ran[n.ID] = true
		if n.ID == 2 {
			return boom
		}
		return nil
	}, Options{})
	if !errors.Is(err, boom) || err.Error() != "a: boom" {
		t.Errorf("error %v", err)
	}
	if d := cmp.Diff(map[int]bool{1: true, 2: true, 4: true, 5: true}, ran); d != "" {
		t.Error(d)
	}
	if r.Summary.Create != 1 || len(r.Skipped) != 1 || r.Skipped[0].ID != 3 {
		t.Errorf("result %+v", r)
	}
	if r.Outcomes[0].Status != Failed || r.Outcomes[1].Status != Done {
		t.Errorf("outcomes %+v", r.Outcomes)
	}
}

func TestStopLetsRunningFinish(t *testing.T) {
	p := &plan.Plan{Nodes: []plan.Node{
		node(1, "a", plan.OpCreateSidecar), node(2, "a", plan.OpConfigure, 1), node(3, "b", plan.OpCreateSidecar),
	}}
	stop := make(chan struct{})
	var finished []int
	r, err := Run(t.Context(), p, func(_ context.Context, n plan.Node) error {
		close(stop)
		time.Sleep(20 * time.Millisecond)
		finished = append(finished, n.ID)
		return nil
	}, Options{Parallel: 1, Stop: stop})
	if !errors.Is(err, ErrStopped) || !r.Stopped {
		t.Errorf("error %v, result %+v", err, r)
	}
	if d := cmp.Diff([]int{1}, finished); d != "" {
		t.Error(d)
	}
	if len(r.Skipped) != 2 {
		t.Errorf("skipped %v", r.Skipped)
	}
}

func TestCancelReportsWhy(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &plan.Plan{Nodes: []plan.Node{node(1, "a", plan.OpCreateSidecar), node(2, "a", plan.OpConfigure, 1)}}
	_, err := Run(ctx, p, func(ctx context.Context, _ plan.Node) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}, Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Random graphs with random faults: a node runs only after all that it
// depends on succeeded, never more at once than allowed, and every node ends
// in exactly one state.
func TestRandomGraphs(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p := &plan.Plan{}
		fails := map[int]bool{}
		for id := 1; id <= 1+rng.IntN(30); id++ {
			n := node(id, fmt.Sprint("a", rng.IntN(4)), plan.OpConfigure)
			for d := 1; d < id; d++ {
				if rng.IntN(6) == 0 {
					n.DependsOn = append(n.DependsOn, d)
				}
			}
			fails[id] = rng.IntN(8) == 0
			p.Nodes = append(p.Nodes, n)
		}
		var mu sync.Mutex
		ok, running, most := map[int]bool{}, 0, 0
		ended := map[int]Status{}
		limit := 1 + rng.IntN(4)
		_, err := Run(t.Context(), p, func(_ context.Context, n plan.Node) error {
			mu.Lock()
			for _, d := range n.DependsOn {
				if !ok[d] {
					t.Errorf("seed %d: %d ran before %d succeeded", seed, n.ID, d)
				}
			}
			running++
			most = max(most, running)
			mu.Unlock()
			mu.Lock()
			defer mu.Unlock()
			running--
			if fails[n.ID] {
				return errors.New("fault")
			}
			ok[n.ID] = true
			return nil
		}, Options{Parallel: limit, On: func(e Event) {
			if e.Status != Started {
				if _, twice := ended[e.Node.ID]; twice {
					t.Errorf("seed %d: %d ended twice", seed, e.Node.ID)
				}
				ended[e.Node.ID] = e.Status
			}
		}})
		if most > limit || len(ended) != len(p.Nodes) {
			t.Errorf("seed %d: %d at once of %d, %d of %d ended", seed, most, limit, len(ended), len(p.Nodes))
		}
		for id, s := range ended {
			if (s == Done) != ok[id] || (s == Failed) != (fails[id] && s != Skipped) {
				t.Errorf("seed %d: node %d is %s", seed, id, s)
			}
		}
		failed := false
		for _, s := range ended {
			failed = failed || s == Failed
		}
		if failed != (err != nil) {
			t.Errorf("seed %d: error %v", seed, err)
		}
	}
}
