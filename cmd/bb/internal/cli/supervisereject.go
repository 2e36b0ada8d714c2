package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type superviseRejectCmd struct {
	ID          string        `arg:"" optional:"" help:"The beginning of its id."`
	All         string        `help:"Everything that this bottle, or all of this agent, ask for." placeholder:"AGENT"`
	Reason      string        `help:"For the agent, and for the record." placeholder:"TEXT"`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"10s"`
}

// Validate is called by kong.
func (c *superviseRejectCmd) Validate() error {
	if (c.ID == "") == (c.All == "") {
		return errors.New("name a proposal, or with --all an agent")
	}
	return nil
}

// Run tells the agent no, in turn with other answers. It needs no manifest.
func (c *superviseRejectCmd) Run(ctx context.Context, a *app) error {
	return a.inTurn(ctx, c.LockTimeout, func(*state.State) error {
		if c.All != "" {
			return c.every(ctx, a)
		}
		p, x, err := a.oneWaiting(ctx, c.ID)
		if err != nil {
			return err
		}
		if err := c.reject(ctx, p, x); err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.stdout, "Rejected.")
		return err
	})
}

// every rejects what one agent asks for, as far as it goes.
func (c *superviseRejectCmd) every(ctx context.Context, a *app) error {
	p, err := a.overseeing(ctx, state.Open)
	if err != nil {
		return err
	}
	meant := map[spec.ID]bool{}
	for _, id := range p.meant([]string{c.All}) {
		meant[id] = true
	}
	if len(meant) == 0 {
		return diag.Errorf("no bottle %q", c.All).WithHint("bb ps lists those that are there")
	}
	all, _, failed := p.waiting(ctx, false)
	n := 0
	for _, x := range all {
		if !meant[x.id] {
			continue
		}
		if err := c.reject(ctx, p, x); err != nil {
			failed = errors.Join(failed, err)
		} else {
			n++
		}
	}
	fmt.Fprintf(a.stdout, "Rejected: %d.\n", n)
	return failed
}

func (c *superviseRejectCmd) reject(ctx context.Context, p *planning, x asked) error {
	no := egress.Answer{ID: x.Proposal.ID, Verdict: egress.Rejected, Reason: c.Reason}
	if err := tell(ctx, p.drivers[x.backend], x.id, no); err != nil {
		return err
	}
	return approvals(p.state).Append(x.id, approval.Record{
		Time: time.Now().UTC(), Who: who(), Event: approval.Rejected, Instance: x.id.Name(), Proposal: &x.Proposal, Digest: x.Digest, Why: c.Reason,
	})
}
