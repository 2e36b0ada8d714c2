package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/lock"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type applyCmd struct {
	Agents      []string      `arg:"" optional:"" help:"Only these agents."`
	Yes         bool          `short:"y" help:"Do not ask. Never stands for --prune."`
	Prune       bool          `help:"Also remove bottles that no manifest declares."`
	JSON        bool          `help:"Print one JSON event a line."`
	Parallel    int           `help:"Operations at once." default:"4"`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"0s"`
}

// Validate is called by kong.
func (c *applyCmd) Validate() error {
	if c.Parallel < 1 {
		return errors.New("--parallel is the number of operations at once: 1 or more")
	}
	return nil
}

// Run plans, asks, plans again under the lock, and executes.
func (c *applyCmd) Run(ctx context.Context, a *app) error {
	p, err := a.planning(c.Agents, state.Open)
	if err != nil {
		return err
	}
	p.prune = c.Prune
	if err := p.look(ctx); err != nil {
		return err
	}
	if !c.JSON || !c.Yes {
		if err := p.print(false); err != nil {
			return err
		}
	}
	if len(p.plan.Nodes) == 0 {
		if c.JSON {
			if err := p.summarize(apply.Result{Summary: plan.Summary{Unchanged: p.plan.Unchanged}}, executeOptions{json: true}); err != nil {
				return err
			}
		}
		return blocked(p.plan)
	}
	if _, err := p.allSecrets(); err != nil {
		return err // before the prompt: a yes must be worth something
	}
	if err := a.confirm(c.Yes, "Apply these changes?"); err != nil {
		return err
	}
	return p.execute(ctx, executeOptions{
		operation: "apply", json: c.JSON, parallel: c.Parallel, wait: c.LockTimeout, shown: !c.Yes,
	})
}

type executeOptions struct {
	operation string
	json      bool
	parallel  int
	wait      time.Duration
	// shown means that a person said yes to the plan as it was.
	shown bool
	// replan is nil where the plan does not come from manifests.
	replan func(context.Context) error
}

// execute takes the lock, makes sure the plan still holds, and walks it.
func (p *planning) execute(ctx context.Context, o executeOptions) (err error) {
	for _, scope := range p.scopes.all() { // always in this order
		held, busy := lock.Acquire(ctx, p.state.Dir, scope, o.operation, o.wait, func(h lock.Holder) {
			fmt.Fprintf(p.app.stderr, "waiting for another bb: %s (pid %d)\n", h.Operation, h.PID)
		})
		if busy != nil {
			return busy
		}
		defer func() { err = errors.Join(err, held.Release()) }()
	}
	before := p.plan.String()
	again := p.look
	if o.replan != nil {
		again = o.replan
	}
	if err := again(ctx); err != nil {
		return err
	}
	if o.shown && p.plan.String() != before {
		return diag.Errorf("the world changed since the plan was shown").WithHint("run bb %s again", o.operation)
	}
	return p.walk(ctx, o)
}

// walk executes the plan under signals, and reports what finished.
func (p *planning) walk(ctx context.Context, o executeOptions) error {
	secrets, err := p.allSecrets()
	if err != nil {
		return err
	}
	ctx, stop, release := p.app.interrupts(ctx)
	defer release()
	progress := view.NewProgress(p.app.stderr)
	defer progress.Close()
	on := progress.On
	if o.json {
		on = view.JSONProgress(p.app.stdout)
	}
	do := func(ctx context.Context, n plan.Node) error {
		return p.do(ctx, n, secrets[n.Instance])
	}
	r, failed := apply.Run(ctx, p.plan, do, apply.Options{Parallel: o.parallel, Stop: stop, On: on})
	if err := p.summarize(r, o); err != nil {
		return err
	}
	if r.Stopped {
		for _, e := range unjoin(failed) {
			if !errors.Is(e, context.Canceled) && !errors.Is(e, apply.ErrStopped) {
				fmt.Fprintln(p.app.stderr, place("", e.Error()))
			}
		}
		return exitError{exitInterrupted, apply.ErrStopped.Error()}
	}
	if failed != nil {
		return failed
	}
	return blocked(p.plan)
}

// blocked fails a command that could not do all that its plan says.
func blocked(p *plan.Plan) error {
	if n := p.Count(plan.Blocked); n > 0 {
		return diag.Errorf("blocked bottles: %d", n).WithHint("the plan above says by what")
	}
	return nil
}

// do performs one node. What all scopes share is made under a lock of the
// user: engines accept several networks of one name.
func (p *planning) do(ctx context.Context, n plan.Node, secrets spec.Secrets) (err error) {
	if n.Op == plan.OpPrepare {
		held, busy := lock.Acquire(ctx, p.state.Dir, "shared", "prepare", 10*time.Minute, nil)
		if busy != nil {
			return busy
		}
		defer func() { err = errors.Join(err, held.Release()) }()
	}
	return backends.Do(ctx, p.drivers[n.Backend], n, secrets)
}

// summarize prints the counts of what finished, and what was skipped.
func (p *planning) summarize(r apply.Result, o executeOptions) error {
	if o.json {
		return json.NewEncoder(p.app.stdout).Encode(struct {
			Type    string       `json:"type"`
			Summary plan.Summary `json:"summary"`
			Stopped bool         `json:"interrupted,omitempty"`
		}{"summary", r.Summary, r.Stopped})
	}
	for _, out := range r.Outcomes {
		if out.Status == apply.Skipped && (out.Change.Action != plan.Blocked) && !out.Change.Kept {
			fmt.Fprintf(p.app.stderr, "%s: skipped\n", out.Change.ID)
		}
	}
	_, err := fmt.Fprintln(p.app.stdout, view.Summary("Applied", r.Summary, r.Summary.Unchanged))
	return err
}
