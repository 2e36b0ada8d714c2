package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/lock"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

type executeOptions struct {
	operation  string
	json       bool
	parallel   int
	wait       time.Duration
	keepFailed bool
	quiet      bool // no counts: standard output is a program's
	// agreed is the fingerprint of the plan that somebody said yes to; "" means
	// that whatever is planned now is wanted.
	agreed string
	// scopes are locked; nil means those in view.
	scopes []string
	// replan is nil where the plan comes from manifests.
	replan func(context.Context) error
}

// execute takes the locks, makes sure the plan still holds, and walks it.
func (p *planning) execute(ctx context.Context, o executeOptions) (err error) {
	p.operation = o.operation
	scopes := o.scopes
	if scopes == nil {
		scopes = p.scopes.all()
	}
	for _, scope := range slices.Sorted(slices.Values(scopes)) { // always in this order
		held, busy := lock.Acquire(ctx, p.state.Dir, scope, o.operation, o.wait, func(h lock.Holder) {
			fmt.Fprintf(p.app.stderr, "waiting for another bb: %s (pid %d)\n", h.Operation, h.PID)
		})
		if busy != nil {
			return busy
		}
		defer func() { err = errors.Join(err, held.Release()) }()
	}
	// Which backends, before where: who finds the second without the first takes
	// it for an older bb's.
	if err := p.mark(); err != nil {
		return err
	}
	if err := p.scopes.remember(p.state, p.app.g.Home); err != nil {
		return err
	}
	again := o.replan
	if again == nil { // a plan is compared as it was read
		again = func(ctx context.Context) error { return p.decide(ctx, o.agreed != "") }
	}
	if err := again(ctx); err != nil {
		return err
	}
	if o.agreed != "" && p.plan.Fingerprint() != o.agreed {
		return diag.Errorf("the world changed since the plan was shown").WithHint("run bb %s again", o.operation)
	}
	return p.walk(ctx, o)
}

// walk executes the plan under signals, and reports what finished.
func (p *planning) walk(ctx context.Context, o executeOptions) error {
	secrets, err := p.resolve(ctx)
	if err != nil {
		return err
	}
	ctx, stop, release := p.app.interrupts(ctx)
	defer release()
	progress := p.app.progress()
	on := progress.On
	if o.json {
		on = view.JSONProgress(p.app.stdout)
	}
	do := func(ctx context.Context, n plan.Node) error {
		n, of := p.builder(n)
		return p.do(ctx, n, secrets[of])
	}
	r, failed := apply.Run(ctx, p.plan, do, apply.Options{
		Parallel: o.parallel, Stop: stop, On: on, KeepFailed: o.keepFailed,
	})
	progress.Close()
	p.tellAll()
	p.reportFailures(failed, r)
	if !o.quiet {
		if err := p.summarize(r, o); err != nil {
			return err
		}
	}
	switch {
	case r.Stopped:
		return exitError{exitInterrupted, apply.ErrStopped.Error()}
	case failed != nil:
		return exitError{code: exitFailed}
	}
	return blocked(p.plan)
}

// reportFailures says what failed and why, then what became of the rest.
func (p *planning) reportFailures(failed error, r apply.Result) {
	var list diag.List
	for _, e := range unjoin(failed) {
		if !errors.Is(e, context.Canceled) && !errors.Is(e, apply.ErrStopped) {
			list = append(list, flatten(e)...)
		}
	}
	printDiagnostics(p.app.stderr, list)
	for _, id := range r.Undone {
		fmt.Fprintf(p.app.stderr, "%s: what was begun of it is removed again (--keep-failed keeps it)\n", id)
	}
	for _, out := range r.Outcomes {
		c := out.Change
		if out.Status == apply.Skipped && c.Action != plan.Blocked && !c.Kept && !slices.Contains(r.Undone, c.ID) {
			fmt.Fprintf(p.app.stderr, "%s: skipped\n", c.ID)
		}
	}
}

// builder gives a node that builds for several bottles the spec of one that has
// a parent proxy: where builds need it, all do. It returns whose secrets count.
func (p *planning) builder(n plan.Node) (plan.Node, spec.ID) {
	if n.Op != plan.OpPrepare && n.Op != plan.OpEnsureImage || n.Spec != nil && n.Spec.Live.Parent != nil {
		return n, n.Instance
	}
	for _, c := range p.plan.Changes {
		if c.Spec == nil || c.Spec.Live.Parent == nil || c.Spec.Backend != n.Backend || c.Action == plan.Blocked {
			continue
		}
		if n.Op == plan.OpPrepare || n.Spec.Image == c.Spec.Image {
			n.Spec = c.Spec
			return n, c.ID
		}
	}
	return n, n.Instance
}

// do performs one node. What all scopes share is made under a lock of the
// user: engines accept several networks of one name.
func (p *planning) do(ctx context.Context, n plan.Node, secrets spec.Secrets) error {
	d := p.drivers[n.Backend]
	switch n.Op {
	case plan.OpPrepare:
		return p.withShared(ctx, "prepare", func() error { return backends.Do(ctx, d, n, secrets) })
	case plan.OpRemoveAgent, plan.OpStop:
		if err := p.stillIdle(ctx, d, n.Instance); err != nil {
			return err
		}
		p.keepTranscript(ctx, n)
		if n.Op == plan.OpStop {
			if err := forgetRelay(ctx, p.state.Dir, n.Instance); err != nil {
				return err
			}
		}
	case plan.OpConfigure:
		if err := backends.Do(ctx, d, n, secrets); err != nil {
			return err
		}
		return p.lend(ctx, n, secrets)
	case plan.OpRemoveSidecar:
		if err := forgetRelay(ctx, p.state.Dir, n.Instance); err != nil {
			return err
		}
	case plan.OpRemoveVolumes: // of one that is no more, its record stays
		if err := approvals(p.state).Remove(n.Instance); err != nil {
			return err
		}
	}
	return backends.Do(ctx, d, n, secrets)
}

// withShared works on what all scopes share, under a lock of the user.
func (p *planning) withShared(ctx context.Context, operation string, work func() error) (err error) {
	held, busy := lock.Acquire(ctx, p.state.Dir, "shared", operation, 10*time.Minute, nil)
	if busy != nil {
		return busy
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	return work()
}

// summarize prints the counts of what finished.
func (p *planning) summarize(r apply.Result, o executeOptions) error {
	if o.json {
		return json.NewEncoder(p.app.stdout).Encode(struct {
			Type    string       `json:"type"`
			Summary plan.Summary `json:"summary"`
			Stopped bool         `json:"interrupted,omitempty"`
		}{"summary", r.Summary, r.Stopped})
	}
	_, err := fmt.Fprintln(p.app.stdout, view.Summary("Applied", r.Summary, r.Summary.Unchanged))
	return err
}
