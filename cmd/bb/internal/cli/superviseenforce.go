package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/lock"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// undoTime is how long putting back what was may take, also when the command was
// interrupted.
const undoTime = 30 * time.Second

// inForce is what one sidecar enforces now.
type inForce struct {
	id      spec.ID
	backend string
	doc     egress.Document
}

// inScope works on one scope while no other bb does: what is in force moves with
// this lock only.
func (a *app) inScope(ctx context.Context, st *state.State, scope string, wait time.Duration, work func() error) (err error) {
	held, err := lock.Acquire(ctx, st.Dir, scope, "supervise", wait, func(h lock.Holder) {
		fmt.Fprintf(a.stderr, "waiting for another bb: %s (pid %d)\n", h.Operation, h.PID)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	return work()
}

// enforced asks the sidecars of an instance what they enforce: one, or two while
// it moves from one backend to another. One that does not run enforces nothing,
// and comes back without a configuration.
func (p *planning) enforced(ctx context.Context, id spec.ID) (all []inForce, err error) {
	var errs []error
	for _, w := range p.seen {
		for _, o := range w.Instances {
			switch {
			case o.ID != id || o.Sidecar == nil:
				continue
			case o.Sidecar.Paused:
				errs = append(errs, diag.Errorf("the sidecar of %s is paused, and goes on with what it has", id).WithHint("unpause it, then once more"))
				continue
			case !o.Sidecar.Running:
				continue
			}
			raw, err := p.drivers[o.Backend].Control(ctx, id, "get")
			if err != nil {
				errs = append(errs, err)
				continue
			}
			var reply egress.Reply
			if err := json.Unmarshal(raw, &reply); err != nil {
				errs = append(errs, diag.Errorf("the sidecar of %s does not say what it enforces", id))
			} else if reply.Document != nil {
				all = append(all, inForce{id, o.Backend, *reply.Document})
			}
		}
	}
	return all, errors.Join(errs...)
}

// approvals are the proposals that made some of what is in force.
func (f inForce) approvals() (ids []string) {
	for _, r := range f.doc.Routes {
		ids = append(ids, r.Approved...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// only is what of an overlay is in force: what takes something back adds nothing.
func (f inForce) only(o approval.Overlay) approval.Overlay {
	ids := f.approvals()
	o.Routes = slices.DeleteFunc(slices.Clone(o.Routes), func(e approval.Entry) bool { return !slices.Contains(ids, e.Proposal) })
	o.Values = slices.DeleteFunc(slices.Clone(o.Values), func(v approval.Value) bool {
		return !slices.ContainsFunc(f.doc.ApprovedValues, v.Value.Same)
	})
	return o
}

// amend is what becomes of what is in force with an overlay, in the place of the
// one that is there. Where it is what the manifests say (want, nil for unknown),
// the plan is told so; else their changes are left to an apply.
func (f inForce) amend(o approval.Overlay, want *spec.Spec) (spec.Amendment, error) {
	if want != nil && want.Declares(f.doc) {
		next := *want
		if _, err := o.Apply(&next.Live); err != nil {
			return spec.Amendment{}, err
		}
		return spec.Amendment{Routes: next.Live.Routes, Values: next.Live.Values, Egress: next.LiveHashes()[spec.PartEgress]}, nil
	}
	routes, err := egress.Approve(f.doc.Routes, o.Allowed())
	return spec.Amendment{Routes: routes, Values: o.Passing()}, err
}

// same reports whether an amendment changes nothing.
func (f inForce) same(a spec.Amendment) bool {
	was, is := f.doc.Rules(), f.doc.Rules()
	is.Routes, is.ApprovedValues = a.Routes, a.Values
	return was.Digest() == is.Digest()
}

// configure puts an amendment in force, and nothing else of what a plan would do:
// the agent, its image and the sidecar itself stay as they are.
func (p *planning) configure(ctx context.Context, f inForce, a spec.Amendment) error {
	s := spec.Amend(f.id, f.backend, f.doc, p.state.Key.Canary(f.id.Name()), a)
	return p.drivers[f.backend].Configure(ctx, s, spec.Secrets{}, nil)
}

// restore puts back what was in force, as far as it can be told: a configure that
// failed may have come through.
func (p *planning) restore(ctx context.Context, f inForce) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	a := spec.Amendment{Routes: f.doc.Routes, Values: f.doc.ApprovedValues, Egress: f.doc.Live[spec.PartEgress]}
	if err := p.configure(ctx, f, a); err != nil {
		return diag.Errorf("it may be in force nevertheless").WithHint("bb supervise revoke %s takes back what is", f.id)
	}
	return nil
}
