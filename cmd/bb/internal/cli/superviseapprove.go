package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type superviseApproveCmd struct {
	ID          string        `arg:"" help:"The beginning of its id."`
	For         time.Duration `help:"How long it lasts." default:"4h" placeholder:"DURATION"`
	Keep        bool          `help:"For as long as the bottle is there."`
	Digest      string        `help:"Only if it is still what was shown." placeholder:"DIGEST"`
	Why         string        `help:"For the record, and for the agent." placeholder:"TEXT"`
	Yes         bool          `short:"y" help:"Do not ask."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"10s"`
}

// Validate is called by kong.
func (c *superviseApproveCmd) Validate() error {
	if c.For <= 0 {
		return errors.New("--for is a time to come, such as 30m")
	}
	return nil
}

// Run shows it, asks, puts it in force, and tells the agent.
func (c *superviseApproveCmd) Run(ctx context.Context, a *app) error {
	x, err := a.oneAsked(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.Digest != "" && c.Digest != x.Digest {
		return diag.Errorf("%s is not what was shown: it, or the policy, moved", x.Proposal.ID).WithHint("bb supervise show %s", c.ID)
	}
	a.showAsked(x)
	if x.Proposal.Kind == egress.ProposePush {
		return diag.Errorf("%s cannot be approved: what may be pushed is the manifest's to say", x.Proposal.ID).
			WithHint("bb supervise reject %s takes it off the list", c.ID)
	}
	if c.Digest == "" {
		if err := a.confirm(c.Yes, "Allow this?"); err != nil {
			return err
		}
	}
	return a.approve(ctx, x, c)
}

// approve puts in force what was shown, and nothing else. Two at once take turns:
// the second sees what the first did, or that nothing waits any more. An apply
// waits too: between the look and the change nothing moves.
func (a *app) approve(ctx context.Context, x asked, c *superviseApproveCmd) error {
	return a.inTurn(ctx, c.LockTimeout, func(st *state.State) error {
		return a.inScope(ctx, st, x.id.Scope, c.LockTimeout, func() error { return a.approveNow(ctx, st, x, c) })
	})
}

func (a *app) approveNow(ctx context.Context, st *state.State, x asked, c *superviseApproveCmd) error {
	in, err := a.scopes(st)
	if err != nil {
		return err
	}
	p, err := a.supervising(ctx, []string{in.agentOf(x.id)})
	if err != nil {
		return err
	}
	again, err := p.one(ctx, x.Proposal.ID)
	if err != nil {
		return err
	}
	if again.Digest != x.Digest {
		return diag.Errorf("%s is not what was shown: it, or the policy, moved", x.Proposal.ID).WithHint("bb supervise show %s", c.ID)
	}
	// What is in force has to be what the manifests say: it is what was shown, and
	// no more of them comes in force with this.
	now, err := p.enforced(ctx, x.id)
	if err != nil {
		return err
	}
	if len(now) != 1 || !again.spec.InForce(now[0].doc) {
		return diag.Errorf("%s is not as its manifest says: what would be approved is not what was shown", x.Bottle).WithHint("bb apply %s first", x.id.Agent)
	}
	y := &accepted{app: a, p: p, x: x, c: c, now: now[0], want: again.spec}
	r := approval.Record{
		Time: time.Now().UTC(), Who: who(), Event: approval.Approving, Instance: x.id.Name(),
		Proposal: &again.Proposal, Digest: x.Digest, Why: c.Why,
	}
	if x.Proposal.Kind != egress.ProposeCapability {
		if r.Keep = c.Keep; !c.Keep {
			r.Until = r.Time.Add(c.For).Truncate(time.Second)
		}
	}
	r.Before = ofHost(again.spec.Live.Routes, x.Proposal)
	if again.Proposal.Kind == egress.ProposeCapability {
		r.Image = &approval.Images{Before: imageText(again.spec.Image)}
	}
	return recorded(approvals(p.state), x.id, r, approval.Approved, func(r *approval.Record) error { return y.carryOut(ctx, r) })
}

// recorded has the intention on the record before anything changes, and the
// outcome after it.
func recorded(store approval.Store, id spec.ID, r approval.Record, done string, do func(*approval.Record) error) error {
	if err := store.Append(id, r); err != nil {
		return err
	}
	err := do(&r)
	r.Time, r.Event = time.Now().UTC(), done
	if err != nil {
		r.Event, r.Why = approval.Failed, err.Error()
	}
	return errors.Join(err, store.Append(id, r))
}

// accepted is one yes that is carried out.
type accepted struct {
	app  *app
	p    *planning
	x    asked
	c    *superviseApproveCmd
	now  inForce
	want *spec.Spec
}

// carryOut puts it in force, notes that in the record, and tells the agent.
func (y *accepted) carryOut(ctx context.Context, r *approval.Record) (err error) {
	answer := egress.Answer{ID: y.x.Proposal.ID, Verdict: egress.Approved, Reason: y.c.Why}
	switch {
	case y.x.Proposal.Route != nil, y.x.Proposal.Held != nil:
		answer.Route, err = y.allow(ctx, r)
	default:
		err = y.app.keepDockerfile(y.p, y.x.Proposal, r.Image)
	}
	if err != nil {
		return err
	}
	if err := tell(ctx, y.p.drivers[y.now.backend], y.x.id, answer); err != nil {
		y.app.warn(flatten(err)) // it is in force all the same
	}
	fmt.Fprintf(y.app.stdout, "Approved.\n")
	return nil
}

// allow puts a route or values in force, or leaves everything as it was. It
// returns the route as it was approved, or nil.
func (y *accepted) allow(ctx context.Context, r *approval.Record) (*egress.Route, error) {
	lasts := y.c.For
	if y.c.Keep {
		lasts = 0
	}
	store := approvals(y.p.state)
	before, err := store.Read(y.x.id)
	if err != nil {
		return nil, err
	}
	var after approval.Overlay
	word := approval.Word{Proposal: y.x.Proposal.ID, By: who(), At: r.Time, Why: y.c.Why}
	if h := y.x.Proposal.Held; h != nil {
		after = before.ApproveHeld(*h, word, lasts)
	} else {
		live := y.want.Live
		auth := approval.Login(egress.Declared(live.Routes), live.Tokens, *y.x.Proposal.Route)
		after = before.Approve(*y.x.Proposal.Route, auth, word, lasts)
	}
	amendment, err := y.now.amend(after, y.want)
	if err != nil {
		return nil, err
	}
	if err := store.Write(y.x.id, after); err != nil {
		return nil, err
	}
	if err := y.p.configure(ctx, y.now, amendment); err != nil {
		return nil, errors.Join(err, store.Write(y.x.id, before), y.p.restore(ctx, y.now))
	}
	_, gone := after.Revoke(word.Proposal)
	r.After, r.Values = ofHost(amendment.Routes, y.x.Proposal), gone.Values
	if y.x.Proposal.Route == nil {
		return nil, nil
	}
	route := gone.Routes[0].Route
	return &route, nil
}

// ofHost are the routes that cover the host that a proposal is about.
func ofHost(routes []egress.Route, p egress.Proposal) []egress.Route {
	host := ""
	switch {
	case p.Route != nil:
		host = p.Route.Host
	case p.Held != nil:
		host = p.Held.Host
	}
	return slices.DeleteFunc(slices.Clone(routes), func(x egress.Route) bool {
		return !egress.Names([]egress.Route{x}, host, time.Now())
	})
}

// who is the person at this terminal, as the system knows them.
func who() string {
	u, err := user.Current()
	if err != nil {
		return fmt.Sprint("uid ", os.Getuid())
	}
	return u.Username
}
