package apply

import (
	"context"
	"fmt"
	"slices"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// undo removes the instances that this walk began to create and could not
// finish: what failed leaves nothing that runs, holds a name or costs memory.
// Instances of which anything existed before are not touched.
func (w *walk) undo(ctx context.Context) ([]spec.ID, error) {
	var half []plan.Change
	for _, c := range w.plan.Changes {
		if c.Action == plan.Create && c.Fresh && w.begunOnly(c) {
			half = append(half, c)
		}
	}
	if len(half) == 0 {
		return nil, nil
	}
	again := newWalk(plan.Undo(half), w.do, Options{Parallel: w.options.Parallel, On: w.options.On})
	err := again.run(ctx)
	if err != nil {
		err = fmt.Errorf("what was begun could not be removed again: %w", err)
	}
	var gone []spec.ID
	for _, out := range again.result().Outcomes {
		if out.Status == Done {
			gone = append(gone, out.Change.ID)
		}
	}
	return gone, err
}

// begunOnly reports whether something was done for a change, but not all.
func (w *walk) begunOnly(c plan.Change) bool {
	begun, whole := false, true
	for i, n := range w.plan.Nodes {
		if n.Instance != c.ID || n.Backend != c.Backend || n.Op == plan.OpEnsureImage {
			continue
		}
		begun = begun || slices.Contains([]Status{Done, Failed}, w.status[i])
		whole = whole && w.status[i] == Done
	}
	return begun && !whole
}
