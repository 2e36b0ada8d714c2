// Package apply executes a plan: a bounded walk over its nodes. A node runs
// only after every node it depends on succeeded; independent branches go on;
// what was skipped is listed; counts come from what finished.
package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Do performs one node. It is called from several goroutines.
type Do func(ctx context.Context, n plan.Node) error

// Status of one node.
type Status string

// Statuses.
const (
	Started Status = "started"
	Done    Status = "done"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Event tells what happened to one node.
type Event struct {
	Node    plan.Node
	Status  Status
	Elapsed time.Duration
	Err     error
}

// Options bound a walk.
type Options struct {
	// Parallel is the number of nodes at once; below 1 means 4.
	Parallel int
	// Stop, when closed, lets running nodes finish and starts nothing new.
	Stop <-chan struct{}
	// On receives every event, from one goroutine at a time.
	On func(Event)
	// KeepFailed leaves what a failed creation made, for a look at it.
	KeepFailed bool
}

// Outcome is what happened to one change.
type Outcome struct {
	Change plan.Change
	Status Status
}

// Result is what finished.
type Result struct {
	Outcomes []Outcome
	Summary  plan.Summary
	// Skipped lists nodes that never ran.
	Skipped []plan.Node
	// Stopped reports that Stop ended the walk early.
	Stopped bool
	// Undone are the instances whose creation failed and of which nothing is
	// left, also where another's could not be removed.
	Undone []spec.ID
}

// ErrStopped says that the walk was interrupted before its end.
var ErrStopped = errors.New("interrupted before everything was done (run bb apply again)")

// Run executes p. The error joins every failure, each with its resource.
func Run(ctx context.Context, p *plan.Plan, do Do, o Options) (Result, error) {
	w := newWalk(p, do, o)
	err := w.run(ctx)
	r := w.result()
	if o.KeepFailed || r.Stopped || ctx.Err() != nil {
		return r, err // the next apply finishes what was begun
	}
	undone, left := w.undo(ctx)
	r.Undone = undone
	return r, errors.Join(err, left)
}

// failure is an error with the resource it happened to.
type failure struct {
	resource string
	err      error
}

func (f failure) Error() string { return fmt.Sprintf("%s: %v", f.resource, f.err) }
func (f failure) Unwrap() error { return f.err }

// part is an instance on one backend: it may be on two while it moves.
type part struct {
	id      spec.ID
	backend string
}

// result maps every change to what became of its nodes.
func (w *walk) result() Result {
	status := map[part]Status{}
	owners := map[part]part{} // of nodes on a backend that an instance moves from
	for _, c := range w.plan.Changes {
		owners[part{c.ID, ""}] = part{c.ID, c.Backend}
	}
	for _, c := range w.plan.Changes {
		owners[part{c.ID, c.Backend}] = part{c.ID, c.Backend}
	}
	r := Result{Stopped: w.stopped}
	for i, n := range w.plan.Nodes {
		s := w.status[i]
		if s == Skipped {
			r.Skipped = append(r.Skipped, n)
		}
		if n.Op == plan.OpPrepare || n.Op == plan.OpEnsureImage {
			continue // shared: those that need it are skipped when it fails
		}
		owner, ok := owners[part{n.Instance, n.Backend}]
		if !ok {
			owner = owners[part{n.Instance, ""}]
		}
		if old, ok := status[owner]; !ok || worse(s, old) {
			status[owner] = s
		}
	}
	done := plan.Plan{Unchanged: w.plan.Unchanged}
	for _, c := range w.plan.Changes {
		s, ok := status[part{c.ID, c.Backend}]
		if !ok {
			s = Skipped // blocked, or a removal that was not asked for
		}
		if s == Done {
			done.Changes = append(done.Changes, c)
		}
		r.Outcomes = append(r.Outcomes, Outcome{Change: c, Status: s})
	}
	r.Summary = done.Summary()
	for _, out := range r.Outcomes {
		if out.Status == Failed {
			r.Summary.Failed++
		}
	}
	return r
}

func worse(a, b Status) bool {
	rank := map[Status]int{Done: 0, Skipped: 1, Started: 2, Failed: 3}
	return rank[a] > rank[b]
}
