package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/lock"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// approvals are kept where no bottle reaches.
func approvals(st *state.State) approval.Store {
	return approval.Store{Dir: filepath.Join(st.Dir, "approvals")}
}

// approved puts what people approved onto the desired instances, as it is now: it
// is a part of what is wanted, and no drift. Who goes on to change something does
// so once more when the scope is locked.
func (c *compiled) approved() error {
	for _, s := range c.specs {
		if err := c.approve(s); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiled) approve(s *spec.Spec) error {
	o, err := approvals(c.state).Read(s.ID)
	if err != nil {
		return err
	}
	_, err = o.Apply(&s.Live)
	return err
}

// otherLogin is why an approval is not in force.
const otherLogin = "left out: its host has another login now, so that it has to be asked again"

// allApproved lists what is approved and has not ended, of all instances of the
// agents in view: declared ones, replicas, and those that bb start made.
func (p *planning) allApproved(now time.Time) ([]plan.Approved, error) {
	var out []plan.Approved
	for _, scope := range p.scopes.all() {
		ids, err := approvals(p.state).List(scope)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if len(p.want) > 0 && !slices.Contains(p.want, id.Agent) && !slices.Contains(p.want, p.scopes.agentOf(id)) {
				continue
			}
			o, err := approvals(p.state).Read(id)
			if err != nil {
				return nil, err
			}
			out = append(out, describeApproved(id, o.Live(now), p.specFor(id))...)
		}
	}
	return out, nil
}

// describeApproved says what an overlay holds; s is what the manifests want of the
// instance, nil for what they know nothing of.
func describeApproved(id spec.ID, o approval.Overlay, s *spec.Spec) (out []plan.Approved) {
	var left []approval.Entry
	if s != nil {
		live := s.Live
		left, _ = o.Apply(&live) // one that does not fit is told of by a plan
	}
	one := func(kind, text string, w approval.Word, until time.Time) plan.Approved {
		return plan.Approved{
			ID: id, Bottle: id.String(), Kind: kind, Text: text,
			Proposal: w.Proposal, By: w.By, Why: w.Why, At: w.At, Until: until,
		}
	}
	for _, e := range o.Routes {
		r := e.Route
		r.Expires = time.Time{} // said beside it
		x := one("route", view.RouteWhole(r, nil), e.Word, e.Route.Expires)
		if slices.ContainsFunc(left, func(l approval.Entry) bool { return l.Proposal == e.Proposal }) {
			x.LeftOut = otherLogin
		}
		out = append(out, x)
	}
	for _, v := range o.Values {
		text := fmt.Sprintf("%s:%d  value that looks like a credential (%s)", v.Value.Host, v.Value.Port, v.What)
		out = append(out, one("value", text, v.Word, v.Value.Expires))
	}
	return out
}

// inTurn works on what is approved while no other bb does.
func (a *app) inTurn(ctx context.Context, wait time.Duration, work func(*state.State) error) (err error) {
	st, err := state.Open(a.g.Home)
	if err != nil {
		return err
	}
	held, err := lock.Acquire(ctx, st.Dir, "approvals", "supervise", wait, func(h lock.Holder) {
		fmt.Fprintf(a.stderr, "waiting for another answer (pid %d)\n", h.PID)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	return work(st)
}

// uncompiled is what is known of the scopes in view without their manifests.
func (a *app) uncompiled() (*compiled, error) {
	if err := a.homeExists(); err != nil {
		return nil, err
	}
	st, err := state.Read(a.g.Home)
	if err != nil {
		return nil, err
	}
	sc, err := a.scopes(st)
	return &compiled{fleet: &manifest.Fleet{}, state: st, scopes: sc}, err
}

type superviseApprovedCmd struct {
	Bottle string `arg:"" optional:"" help:"The bottle, as bb ps names it; all without one."`
	JSON   bool   `help:"Print as JSON."`
}

// Run lists what is approved and has not ended.
func (c *superviseApprovedCmd) Run(a *app) error {
	w, err := a.compile(nil, state.Read)
	if err != nil { // what is approved is known without any manifest
		if w, err = a.uncompiled(); err != nil {
			return err
		}
	}
	p := &planning{compiled: w, app: a}
	all, err := p.allApproved(time.Now())
	if err != nil {
		return err
	}
	if c.Bottle != "" {
		all = slices.DeleteFunc(all, func(x plan.Approved) bool {
			bare, home := strings.CutPrefix(c.Bottle, "home/")
			return x.Bottle != bare || home && x.ID.Scope != w.scopes.home
		})
	}
	if c.JSON {
		return a.printJSON(append([]plan.Approved{}, all...))
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(a.stdout, "Nothing is approved.")
		return err
	}
	for _, x := range all {
		line := fmt.Sprintf("%s  %s", short(x.Proposal), p.style(a.stdout).Approved(x, time.Now()))
		if x.Why != "" {
			line += ": " + view.OneLine(x.Why)
		}
		if _, err := fmt.Fprintln(a.stdout, view.Escape(line)); err != nil {
			return err
		}
	}
	return nil
}
