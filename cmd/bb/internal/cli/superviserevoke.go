package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type superviseRevokeCmd struct {
	Bottle      string        `arg:"" help:"The bottle, as bb ps names it."`
	ID          string        `arg:"" optional:"" help:"The beginning of the proposal's id; without one, all that was approved."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"10s"`
}

// Run takes back what was approved, whatever else a plan would do.
func (c *superviseRevokeCmd) Run(ctx context.Context, a *app) error {
	p, o, err := a.instance(ctx, c.Bottle)
	if err != nil {
		return err
	}
	return a.inTurn(ctx, c.LockTimeout, func(st *state.State) error {
		return a.inScope(ctx, st, o.ID.Scope, c.LockTimeout, func() error { return c.revoke(ctx, p, o.ID) })
	})
}

func (c *superviseRevokeCmd) revoke(ctx context.Context, p *planning, id spec.ID) error {
	if err := p.observe(ctx); err != nil {
		return err
	}
	store := approvals(p.state)
	before, damaged := store.Read(id)
	if damaged != nil && c.ID != "" {
		return damaged
	}
	now, silent := p.enforced(ctx, id)
	name, err := c.named(id, before, now)
	if err != nil {
		return errors.Join(err, silent)
	}
	left, gone := before.Revoke(name)
	n := len(gone.Routes) + len(gone.Values)
	switch { // it is in force, of a revoke that failed or by somebody's hand
	case n == 0 && name != "":
		n = 1
	case n == 0:
		n = stray(now)
	}
	switch {
	case n == 0 && silent != nil: // who does not say what is in force is not known to have nothing
		return silent
	case n == 0 && damaged == nil:
		return diag.Errorf("nothing of %s is approved by that name", id).WithHint("bb supervise approved %s lists what is", id)
	}
	r := approval.Record{
		Time: time.Now().UTC(), Who: who(), Event: approval.Revoking, Instance: id.Name(),
		Before: before.Allowed(), After: left.Allowed(), Values: gone.Values, Why: name,
	}
	unwritten := store.Append(id, r) // it closes something: that it cannot be noted does not stop it
	failed := errors.Join(store.Write(id, left), silent, p.narrow(ctx, id, left, now))
	r.Time, r.Event = time.Now().UTC(), approval.Revoked
	if failed != nil {
		r.Event, r.Why = approval.Failed, failed.Error()
		failed = errors.Join(failed, diag.Errorf("what was approved for %s may still be in force", id).
			WithHint("bb supervise revoke %s once more, or bb stop %s", id, id))
	}
	if err := errors.Join(failed, unwritten, store.Append(id, r)); err != nil {
		return err
	}
	fmt.Fprintf(p.app.stdout, "Taken back: %d.\n", n)
	return nil
}

// narrow puts what is left in force, where that is less than what is.
func (p *planning) narrow(ctx context.Context, id spec.ID, left approval.Overlay, now []inForce) error {
	var want *spec.Spec // what the manifests say, if they say anything
	if c, err := p.app.compile([]string{p.scopes.agentOf(id)}, state.Open); err == nil {
		want = (&planning{compiled: c, app: p.app}).specFor(id)
	}
	var errs []error
	for _, f := range now {
		a, err := f.amend(f.only(left), want)
		if err == nil && !f.same(a) {
			err = p.configure(ctx, f, a)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// named is the whole id of the proposal that is meant; "" for all.
func (c *superviseRevokeCmd) named(id spec.ID, o approval.Overlay, now []inForce) (string, error) {
	if c.ID == "" {
		return "", nil
	}
	var ids []string
	for _, e := range o.Routes {
		ids = append(ids, e.Proposal)
	}
	for _, v := range o.Values {
		ids = append(ids, v.Proposal)
	}
	for _, f := range now {
		ids = append(ids, f.approvals()...)
	}
	slices.Sort(ids)
	return oneID(c.ID, slices.Compact(ids), "is approved", fmt.Sprintf("bb supervise approved %s lists what is", id))
}

// stray counts what is approved of what is in force.
func stray(now []inForce) (n int) {
	for _, f := range now {
		n += len(f.approvals()) + len(f.doc.ApprovedValues)
	}
	return n
}
