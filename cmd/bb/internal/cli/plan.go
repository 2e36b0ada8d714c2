package cli

import (
	"context"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/state"
)

type planCmd struct {
	Agents           []string `arg:"" optional:"" help:"Only these agents."`
	JSON             bool     `help:"Print the plan as JSON."`
	DetailedExitcode bool     `help:"Exit with 2 when there are changes."`
}

// Run prints the difference. It takes no lock and writes nothing.
func (c *planCmd) Run(ctx context.Context, a *app) error {
	p, err := a.planning(c.Agents, state.Read)
	if err != nil {
		return err
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	p.plan.Notes = append(p.plan.Notes, p.unresolved()...)
	if err := p.print(c.JSON); err != nil {
		return err
	}
	if c.DetailedExitcode && len(p.plan.Changes) > p.plan.Summary().Kept {
		return exitError{code: exitChanges}
	}
	return nil
}

// print shows the plan; notes and warnings go to stderr, or into the JSON.
func (p *planning) print(asJSON bool) error {
	if asJSON {
		return p.app.printJSON(p.plan.JSON(p.warnings))
	}
	p.app.warn(append(append(diag.List{}, p.warnings...), p.plan.Notes...))
	return view.Plan(p.app.stdout, p.plan, p.app.style(p.app.stdout))
}
