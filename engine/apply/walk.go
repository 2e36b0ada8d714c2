package apply

import (
	"context"
	"errors"
	"time"

	"github.com/bot-bottle/bb/engine/plan"
)

// walk is owned by one goroutine; workers only report back.
type walk struct {
	plan    *plan.Plan
	do      Do
	options Options
	status  []Status // by node index; "" until decided
	waiting []int    // unfinished dependencies
	next    [][]int  // dependents
	stopped bool
}

type finished struct {
	index   int
	err     error
	elapsed time.Duration
}

func newWalk(p *plan.Plan, do Do, o Options) *walk {
	if o.Parallel < 1 {
		o.Parallel = 4
	}
	if o.On == nil {
		o.On = func(Event) {}
	}
	w := &walk{
		plan: p, do: do, options: o,
		status:  make([]Status, len(p.Nodes)),
		waiting: make([]int, len(p.Nodes)),
		next:    make([][]int, len(p.Nodes)),
	}
	for i, n := range p.Nodes {
		w.waiting[i] = len(n.DependsOn)
		for _, d := range n.DependsOn {
			w.next[d-1] = append(w.next[d-1], i)
		}
	}
	return w
}

func (w *walk) run(ctx context.Context) error {
	var ready []int
	for i := range w.plan.Nodes {
		if w.waiting[i] == 0 {
			ready = append(ready, i)
		}
	}
	results := make(chan finished)
	running := 0
	stop := w.options.Stop
	var errs []error
	for {
		for len(ready) > 0 && running < w.options.Parallel && !w.stopped && ctx.Err() == nil {
			i := ready[0]
			ready = ready[1:]
			w.status[i] = Started
			w.options.On(Event{Node: w.plan.Nodes[i], Status: Started})
			running++
			go func() {
				begin := time.Now()
				err := w.do(ctx, w.plan.Nodes[i])
				results <- finished{i, err, time.Since(begin)}
			}()
		}
		if running == 0 {
			break
		}
		select {
		case <-stop:
			w.stopped, stop = true, nil
		case f := <-results:
			running--
			n := w.plan.Nodes[f.index]
			if f.err != nil {
				w.status[f.index] = Failed
				errs = append(errs, failure{n.Resource(), f.err})
				w.options.On(Event{n, Failed, f.elapsed, f.err})
				w.skip(f.index)
				continue
			}
			w.status[f.index] = Done
			w.options.On(Event{Node: n, Status: Done, Elapsed: f.elapsed})
			for _, d := range w.next[f.index] {
				if w.waiting[d]--; w.waiting[d] == 0 && w.status[d] == "" {
					ready = append(ready, d)
				}
			}
		}
	}
	return errors.Join(append(errs, w.rest(ctx))...)
}

// skip marks everything behind a failed node: it never runs.
func (w *walk) skip(i int) {
	for _, d := range w.next[i] {
		if w.status[d] == "" {
			w.status[d] = Skipped
			w.options.On(Event{Node: w.plan.Nodes[d], Status: Skipped})
			w.skip(d)
		}
	}
}

// rest marks what an interrupt kept from running.
func (w *walk) rest(ctx context.Context) error {
	left := false
	for i, s := range w.status {
		if s == "" {
			w.status[i], left = Skipped, true
			w.options.On(Event{Node: w.plan.Nodes[i], Status: Skipped})
		}
	}
	if !left {
		return nil
	}
	w.stopped = true
	if err := ctx.Err(); err != nil {
		return errors.Join(ErrStopped, err)
	}
	return ErrStopped
}
