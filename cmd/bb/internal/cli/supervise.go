package cli

import (
	"context"
	"fmt"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/state"
)

type superviseCmd struct {
	List     superviseListCmd     `cmd:"" default:"withargs" help:"What agents ask for and waits."`
	Show     superviseShowCmd     `cmd:"" help:"One proposal, whole."`
	Approve  superviseApproveCmd  `cmd:"" help:"Allow what a proposal asks for, for a while."`
	Modify   superviseModifyCmd   `cmd:"" help:"Allow something else than what a proposal asks for, written in your editor."`
	Reject   superviseRejectCmd   `cmd:"" help:"Refuse it, or with --all everything that a bottle asks for."`
	Approved superviseApprovedCmd `cmd:"" help:"What is approved, by whom, and until when."`
	Revoke   superviseRevokeCmd   `cmd:"" help:"Take back what was approved."`
	Promote  supervisePromoteCmd  `cmd:"" help:"Print what was approved as lines for the manifest."`
}

type superviseListCmd struct {
	JSON  bool `help:"Print as JSON; with --watch one object a line."`
	Watch bool `short:"w" help:"Go on, and tell what comes and what goes."`
	All   bool `short:"a" help:"Also what waits in other directories of this user."`
}

// Run lists what waits. Where a sidecar does not tell, the list is not whole, and
// that is a failure.
func (c *superviseListCmd) Run(ctx context.Context, a *app) error {
	if c.Watch {
		return c.watch(ctx, a)
	}
	p, err := a.overseeing(ctx, state.Open)
	if err != nil {
		return err
	}
	a.warn(p.warnings)
	all, elsewhere, failed := p.waiting(ctx, c.All)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.JSON {
		if all == nil {
			all = []asked{}
		}
		if err := a.printJSON(all); err != nil {
			return err
		}
	} else if len(all) == 0 && failed == nil {
		fmt.Fprintln(a.stdout, "Nothing waits.")
	}
	for _, x := range all {
		if !c.JSON {
			fmt.Fprintln(a.stdout, view.Cut(x.line(), a.columns()))
		}
	}
	if elsewhere > 0 {
		fmt.Fprintf(a.stderr, "%d in other directories: bb supervise -a\n", elsewhere)
	}
	return failed
}

// supervising is a planning of what runs beside what is declared.
func (a *app) supervising(ctx context.Context, agents []string) (*planning, error) {
	p, err := a.planning(agents, state.Open)
	if err != nil {
		return nil, err
	}
	return p, p.decide(ctx, false)
}

type superviseShowCmd struct {
	ID   string `arg:"" help:"The beginning of its id."`
	JSON bool   `help:"Print as JSON."`
}

// Run shows one.
func (c *superviseShowCmd) Run(ctx context.Context, a *app) error {
	p, x, err := a.oneWaiting(ctx, c.ID)
	if err != nil {
		return err
	}
	if x.spec == nil {
		a.warn(p.warnings)
	}
	if c.JSON {
		return a.printJSON(x)
	}
	a.showAsked(x)
	return nil
}
