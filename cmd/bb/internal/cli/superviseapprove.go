package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
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

// approve puts in force what was shown. Two at once take turns: the second sees
// what the first did, or that nothing waits any more.
func (a *app) approve(ctx context.Context, x asked, c *superviseApproveCmd) error {
	return a.inTurn(ctx, c.LockTimeout, func() error {
		p, err := a.supervising(ctx, []string{x.id.Agent})
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
		if err := p.only(ctx, x.id); err != nil {
			return err
		}
		if len(p.plan.Nodes) > 0 {
			return diag.Errorf("%s is not as its manifest says: what would be approved is not what was shown", x.Bottle).WithHint("bb apply %s first", x.id.Agent)
		}
		r := approval.Record{
			Time: time.Now().UTC(), Who: who(), Event: approval.Approving, Instance: x.id.Name(),
			Proposal: &again.Proposal, Digest: x.Digest, Before: ofHost(x.spec.Live.Routes, x.Proposal.Route), Why: c.Why,
		}
		return a.recorded(p, x.id, r, func(r *approval.Record) error { return a.carryOut(ctx, p, x, c, r) })
	})
}

// recorded has the intention on the record before anything changes, and the
// outcome after it.
func (a *app) recorded(p *planning, id spec.ID, r approval.Record, do func(*approval.Record) error) error {
	store := approvals(p.state)
	if err := store.Append(id, r); err != nil {
		return err
	}
	err := do(&r)
	r.Time, r.Event = time.Now().UTC(), approval.Approved
	if err != nil {
		r.Event, r.Why = approval.Failed, err.Error()
	}
	return errors.Join(err, store.Append(id, r))
}

// carryOut puts it in force, notes that in the record, and tells the agent.
func (a *app) carryOut(ctx context.Context, p *planning, x asked, c *superviseApproveCmd, r *approval.Record) (err error) {
	answer := egress.Answer{ID: x.Proposal.ID, Verdict: egress.Approved, Reason: c.Why}
	switch {
	case x.Proposal.Route != nil:
		if answer.Route, err = a.allow(ctx, p, x, c); err == nil {
			r.After = []egress.Route{*answer.Route}
		}
	case x.Proposal.Held != nil:
		_, err = a.allow(ctx, p, x, c)
	default:
		err = a.keepDockerfile(p, x)
	}
	if err != nil {
		return err
	}
	if err := tell(ctx, p.drivers[x.spec.Backend], x.id, answer); err != nil {
		a.warn(flatten(err)) // it is in force all the same
	}
	fmt.Fprintf(a.stdout, "Approved.\n")
	return nil
}

// ofHost are the routes that cover the host of another.
func ofHost(routes []egress.Route, r *egress.Route) (out []egress.Route) {
	if r == nil {
		return nil
	}
	for _, x := range routes {
		if egress.Names([]egress.Route{x}, r.Host, time.Now()) {
			out = append(out, x)
		}
	}
	return out
}

// allow puts a route or values in force, or leaves everything as it was. It
// returns the route, as it is in force.
func (a *app) allow(ctx context.Context, p *planning, x asked, c *superviseApproveCmd) (*egress.Route, error) {
	lasts := c.For
	if c.Keep {
		lasts = 0
	}
	store := approvals(p.state)
	before, err := store.Read(x.id)
	if err != nil {
		return nil, err
	}
	var after approval.Overlay
	word := approval.Word{Proposal: x.Proposal.ID, By: who(), At: time.Now().UTC(), Why: c.Why}
	if h := x.Proposal.Held; h != nil {
		after = before.ApproveHeld(*h, word, lasts)
	} else {
		after = before.Approve(*x.Proposal.Route, word, lasts)
	}
	if err := store.Write(x.id, after); err != nil {
		return nil, err
	}
	if err := a.enforce(ctx, x.id, c.LockTimeout); err != nil {
		return nil, errors.Join(err, store.Write(x.id, before))
	}
	if x.Proposal.Route == nil {
		return nil, nil
	}
	route := after.Routes[len(after.Routes)-1].Route
	return &route, nil
}

// enforce plans an agent again, with what is approved now, and applies that.
func (a *app) enforce(ctx context.Context, id spec.ID, wait time.Duration) error {
	p, err := a.supervising(ctx, []string{id.Agent})
	if err != nil {
		return err
	}
	o := executeOptions{operation: "supervise", wait: wait, quiet: true}
	if s := p.specFor(id); s != nil && isAdHoc(id.Replica) {
		o.replan = func(ctx context.Context) error { return p.only(ctx, id) }
	}
	return p.execute(ctx, o)
}

// keepDockerfile writes what an agent wrote where a person can read it. bb never
// builds it by itself.
func (a *app) keepDockerfile(p *planning, x asked) error {
	dir := filepath.Join(p.state.Dir, "approvals", "Dockerfile-"+x.Proposal.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(path, []byte(x.Proposal.Dockerfile), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Written, not built. Read it, then put into the bottle's manifest:\nagent_provider: {dockerfile: %s}\n", path)
	return nil
}

// who is the person at this terminal, as the system knows them.
func who() string {
	u, err := user.Current()
	if err != nil {
		return fmt.Sprint("uid ", os.Getuid())
	}
	return u.Username
}
