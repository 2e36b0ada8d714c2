package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/state"
)

type planCmd struct {
	Agents           []string `arg:"" optional:"" help:"Only these agents."`
	JSON             bool     `help:"Print the plan as JSON."`
	Prune            bool     `help:"Plan the removal of bottles that no manifest declares."`
	Out              string   `help:"Save the plan, for bb apply FILE." placeholder:"FILE"`
	DetailedExitcode bool     `help:"Exit with 2 when there are changes."`
}

// Validate is called by kong.
func (c *planCmd) Validate() error {
	if c.Out != "" && !isPlanFile(c.Out) {
		return fmt.Errorf("--out %s could be an agent's name to bb apply: call it %s.plan", c.Out, c.Out)
	}
	for _, a := range c.Agents {
		if isPlanFile(a) {
			return errors.New("a plan is for agents: " + a + " is no agent's name")
		}
	}
	return nil
}

// Run prints the difference. It takes no lock and changes nothing.
func (c *planCmd) Run(ctx context.Context, a *app) error {
	open := state.Read
	if c.Out != "" {
		open = state.Open // a plan of an owner that is not kept could never be applied
	}
	p, err := a.planning(c.Agents, open)
	if err != nil {
		return err
	}
	p.prune = c.Prune
	if err := p.look(ctx); err != nil {
		return err
	}
	p.plan.Notes = append(p.plan.Notes, p.unresolved()...)
	if err := p.print(c.JSON); err != nil {
		return err
	}
	if c.Out != "" {
		if err := p.save(c.Out); err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "saved; it holds until something changes: bb apply %s\n", c.Out)
	}
	if c.DetailedExitcode && len(p.plan.Changes) > p.plan.Summary().Kept {
		return exitError{code: exitChanges}
	}
	return nil
}

// style marks home agents where a repository's are in view too.
func (p *planning) style(w io.Writer) view.Style {
	st := p.app.style(w)
	if p.scopes.repo != "" {
		st.HomeScope = p.scopes.home
	}
	return st
}

// print shows the plan; notes and warnings go to stderr, or into the JSON.
func (p *planning) print(asJSON bool) (err error) {
	if p.plan.Approved, err = p.allApproved(time.Now()); err != nil {
		return err
	}
	if asJSON {
		return p.app.printJSON(p.plan.JSON(p.warnings))
	}
	p.app.warn(append(append(diag.List{}, p.warnings...), p.plan.Notes...))
	if err := view.Plan(p.app.stdout, p.plan, p.style(p.app.stdout)); err != nil {
		return err
	}
	return view.Approved(p.app.stdout, p.plan.Approved, p.style(p.app.stdout))
}
