package cli

import (
	"context"
	"errors"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/state"
)

type applyCmd struct {
	Agents      []string      `arg:"" optional:"" help:"Only these agents; or the file of one saved plan."`
	Yes         bool          `short:"y" help:"Do not ask. Never stands for --prune or --force."`
	Prune       bool          `help:"Also remove bottles that no manifest declares."`
	Force       bool          `help:"Also replace and remove bottles in which commands run."`
	Refresh     bool          `name:"refresh-tokens" help:"Run the commands of token references again, also where nothing else changed."`
	NoReplace   bool          `help:"Refuse what would replace or remove a bottle."`
	KeepFailed  bool          `help:"Leave what a failed creation made, for a look at it."`
	JSON        bool          `help:"Print one JSON event a line."`
	Parallel    int           `help:"Operations at once." default:"4"`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"0s"`
}

// Validate is called by kong.
func (c *applyCmd) Validate() error {
	if c.Parallel < 1 {
		return errors.New("--parallel is the number of operations at once: 1 or more")
	}
	if len(c.Agents) > 1 {
		for _, a := range c.Agents {
			if isPlanFile(a) {
				return errors.New("a saved plan says itself which agents it is for: name it alone")
			}
		}
	}
	return nil
}

// Run plans, asks, plans again under the lock, and executes.
func (c *applyCmd) Run(ctx context.Context, a *app) error {
	if len(c.Agents) == 1 && isPlanFile(c.Agents[0]) {
		return c.saved(ctx, a, c.Agents[0])
	}
	p, err := a.planning(c.Agents, state.Open)
	if err != nil {
		return err
	}
	p.prune = c.Prune
	if c.Refresh {
		if err := p.refresh(ctx); err != nil {
			return err
		}
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := c.show(p); err != nil {
		return err
	}
	if c.NoReplace {
		if err := refuse(p.plan, "apply --no-replace"); err != nil {
			return err
		}
	}
	if err := p.offerPruning(ctx, c.Yes); err != nil {
		return err
	}
	if len(p.plan.Nodes) == 0 {
		return c.nothing(p)
	}
	if err := p.ready(); err != nil {
		return err // before the prompt: a yes must be worth something
	}
	if err := p.consent("apply", c.Yes, c.Force); err != nil {
		return err
	}
	if err := a.confirm(c.Yes, "Apply these changes?"); err != nil {
		return err
	}
	o := c.options()
	if !c.Yes || c.NoReplace {
		o.agreed = p.plan.Fingerprint()
	}
	if err := p.execute(ctx, o); err != nil {
		return err
	}
	return p.lapsed().Err() // the others were not kept waiting for it
}

// show prints the plan: beside the events, where those go to standard output.
func (c *applyCmd) show(p *planning) error {
	switch {
	case !c.JSON:
		return p.print(false)
	case c.Yes:
		p.app.warn(p.plan.Notes)
		return nil
	}
	p.app.warn(p.plan.Notes)
	return view.Plan(p.app.stderr, p.plan, p.style(p.app.stderr))
}

func (c *applyCmd) options() executeOptions {
	return executeOptions{
		operation: "apply", json: c.JSON, parallel: c.Parallel, wait: c.LockTimeout, keepFailed: c.KeepFailed,
	}
}

// nothing ends an apply that has nothing to do.
func (c *applyCmd) nothing(p *planning) error {
	if err := p.lapsed().Err(); err != nil {
		return err
	}
	if c.JSON {
		r := apply.Result{Summary: plan.Summary{Unchanged: p.plan.Unchanged}}
		if err := p.summarize(r, executeOptions{json: true}); err != nil {
			return err
		}
	}
	return blocked(p.plan)
}

// saved executes a plan that bb plan --out wrote. The file is the consent: it
// holds exactly as long as bb would plan the same again.
func (c *applyCmd) saved(ctx context.Context, a *app, file string) error {
	s, err := readPlan(file)
	if err != nil {
		return err
	}
	if c.Prune {
		return diag.Errorf("a saved plan says itself what is pruned").WithHint("bb plan --prune --out FILE")
	}
	if c.Refresh {
		return diag.Errorf("a saved plan knows nothing of new tokens").WithHint("bb apply --refresh-tokens, without the file")
	}
	if a.g.Workspace != "" && a.g.Workspace != s.Workspace {
		return diag.Errorf("a saved plan says itself which workspace it is for").WithHint("bb plan --workspace DIR --out FILE AGENT")
	}
	a.g.Workspace = s.Workspace
	p, err := a.planning(s.Agents, state.Open)
	if err != nil {
		return err
	}
	p.prune = s.Prune
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := s.holds(p); err != nil {
		return err
	}
	if err := c.show(p); err != nil {
		return err
	}
	if len(p.plan.Nodes) == 0 {
		return c.nothing(p)
	}
	if err := p.consent("apply", true, c.Force); err != nil {
		return err
	}
	o := c.options()
	o.agreed = s.Fingerprint
	return p.execute(ctx, o)
}

// blocked fails a command that could not do all that its plan says.
func blocked(p *plan.Plan) error {
	if n := p.Count(plan.Blocked); n > 0 {
		return diag.Errorf("blocked bottles: %d", n).WithHint("the plan above says by what")
	}
	return nil
}
