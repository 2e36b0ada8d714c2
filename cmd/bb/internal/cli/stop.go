package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/state"
)

type stopCmd struct {
	Agents      []string      `arg:"" help:"Agents, or bottles as bb ps names them; AGENT_1 is the first of an agent alone."`
	Yes         bool          `short:"y" help:"Do not ask. Never stands for --force."`
	Force       bool          `help:"Also bottles in which commands run."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"0s"`
}

// Help is shown by bb stop --help.
func (*stopCmd) Help() string {
	return `Nothing of a stopped bottle runs, and nothing of it is lost: its disk, its
approvals and its program's conversations stay. bb apply starts it again, and the
first bb attach then goes on with the conversation; bb start --resume BOTTLE does
both.`
}

// Run stops bottles. It reads no manifest: what is broken must stop too.
func (c *stopCmd) Run(ctx context.Context, a *app) error {
	p, err := a.withoutManifests(ctx, state.Open)
	if err != nil {
		return err
	}
	if err := p.known(c.Agents); err != nil {
		return err
	}
	halt := func() { p.plan = plan.Halt(p.seen, p.meant(c.Agents)) }
	halt()
	a.warn(p.ignorance())
	if p.plan.Empty() {
		_, err := fmt.Fprintln(a.stdout, "Nothing to stop.")
		return err
	}
	if err := p.ends(ctx); err != nil {
		return err
	}
	if err := view.Plan(a.stdout, p.plan, p.style(a.stdout)); err != nil {
		return err
	}
	if err := p.consent("stop", c.Yes, c.Force); err != nil {
		return err
	}
	return p.execute(ctx, executeOptions{
		operation: "stop", wait: c.LockTimeout, scopes: p.scopesOf(),
		replan: func(ctx context.Context) error {
			err := p.observe(ctx)
			halt()
			return err
		},
	})
}
