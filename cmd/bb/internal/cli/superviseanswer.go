package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
)

type superviseRevokeCmd struct {
	Bottle      string        `arg:"" help:"The bottle, as bb ps names it."`
	ID          string        `arg:"" optional:"" help:"The proposal; without one, all that was approved."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"10s"`
}

// Run takes back what was approved.
func (c *superviseRevokeCmd) Run(ctx context.Context, a *app) error {
	return a.inTurn(ctx, c.LockTimeout, func() error { return c.revoke(ctx, a) })
}

func (c *superviseRevokeCmd) revoke(ctx context.Context, a *app) error {
	p, o, err := a.instance(ctx, c.Bottle)
	if err != nil {
		return err
	}
	store := approvals(p.state)
	before, err := store.Read(o.ID)
	if err != nil {
		return err
	}
	if c.ID, err = approvedID(before, c.ID); err != nil {
		return err
	}
	after, n := before.Revoke(c.ID)
	if n == 0 {
		return diag.Errorf("nothing of %s is approved by that name", o.ID).WithHint("bb supervise promote %s lists what is", o.ID)
	}
	if err := store.Append(o.ID, approval.Record{
		Time: time.Now().UTC(), Who: who(), Event: approval.Revoked, Instance: o.ID.Name(),
		Before: before.Allowed(), After: after.Allowed(), Why: c.ID,
	}); err != nil {
		return err
	}
	if err := store.Write(o.ID, after); err != nil {
		return err
	}
	if err := a.enforce(ctx, o.ID, c.LockTimeout); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Taken back: %d.\n", n)
	return nil
}

// approvedID is the proposal that an id begins, of those that were approved; "" is
// all of them.
func approvedID(o approval.Overlay, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	var ids []string
	for _, e := range o.Routes {
		ids = append(ids, e.Proposal)
	}
	for _, v := range o.Values {
		ids = append(ids, v.Proposal)
	}
	slices.Sort(ids)
	return oneID(id, slices.Compact(ids), "is approved", "bb supervise promote lists what is")
}

type supervisePromoteCmd struct {
	Bottle string `arg:"" help:"The bottle, as bb ps names it."`
}

// Run prints what is in force of what was approved, for the manifest.
func (c *supervisePromoteCmd) Run(ctx context.Context, a *app) error {
	p, o, err := a.instance(ctx, c.Bottle)
	if err != nil {
		return err
	}
	all, err := approvals(p.state).Read(o.ID)
	if err != nil {
		return err
	}
	all = all.Live(time.Now())
	if len(all.Routes) == 0 {
		fmt.Fprintln(a.stdout, "Nothing is approved.")
		return nil
	}
	fmt.Fprintln(a.stdout, "egress:\n  routes:")
	for _, e := range all.Routes {
		fmt.Fprintf(a.stdout, "    # %s by %s (%s)\n    - host: %q\n", e.Route.Source, view.Escape(e.By), e.Proposal, e.Route.Host)
		if e.Route.Port != 443 {
			fmt.Fprintf(a.stdout, "      port: %d\n", e.Route.Port)
		}
		for _, m := range e.Route.Matches {
			fmt.Fprintf(a.stdout, "      matches: [{%s}]\n", matchLine(m))
		}
	}
	return nil
}

// matchLine is a match as a manifest has it.
func matchLine(m egress.Match) string {
	list := func(key string, words []string) string {
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = fmt.Sprintf("%q", w)
		}
		return key + ": [" + strings.Join(quoted, ", ") + "]"
	}
	var parts []string
	if len(m.Methods) > 0 {
		parts = append(parts, list("methods", m.Methods))
	}
	if len(m.Paths) > 0 {
		parts = append(parts, list("paths", m.Paths))
	}
	return strings.Join(parts, ", ")
}
