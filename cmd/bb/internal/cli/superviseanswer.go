package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
)

type superviseRejectCmd struct {
	ID     string `arg:"" help:"The beginning of its id."`
	Reason string `help:"For the agent, and for the record." placeholder:"TEXT"`
}

// Run tells the agent no.
func (c *superviseRejectCmd) Run(ctx context.Context, a *app) error {
	p, x, err := a.oneAsked(ctx, c.ID)
	if err != nil {
		return err
	}
	no := egress.Answer{ID: x.Proposal.ID, Verdict: egress.Rejected, Reason: c.Reason}
	if err := tell(ctx, p.drivers[x.spec.Backend], x.id, no); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "Rejected.")
	return approvals(p.state).Append(x.id, approval.Record{
		Time: time.Now().UTC(), Who: who(), Event: approval.Rejected, Instance: x.id.Name(), Proposal: &x.Proposal, Digest: x.Digest, Why: c.Reason,
	})
}
