package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type superviseCmd struct {
	List    superviseListCmd    `cmd:"" default:"withargs" help:"What agents ask for and waits."`
	Show    superviseShowCmd    `cmd:"" help:"One proposal, whole."`
	Approve superviseApproveCmd `cmd:"" help:"Allow what a proposal asks for, for a while."`
	Modify  superviseModifyCmd  `cmd:"" help:"Allow something else than what a proposal asks for, written in your editor."`
	Reject  superviseRejectCmd  `cmd:"" help:"Refuse it."`
	Revoke  superviseRevokeCmd  `cmd:"" help:"Take back what was approved."`
	Promote supervisePromoteCmd `cmd:"" help:"Print what was approved as lines for the manifest."`
}

type superviseListCmd struct {
	JSON  bool `help:"Print as JSON; with --watch one object a line."`
	Watch bool `short:"w" help:"Go on, and tell what comes and what goes."`
}

// Run lists what waits.
func (c *superviseListCmd) Run(ctx context.Context, a *app) error {
	if c.Watch {
		return c.watch(ctx, a)
	}
	p, err := a.supervising(ctx, nil)
	if err != nil {
		return err
	}
	all, err := p.waiting(ctx)
	if err != nil {
		a.warn(flatten(err))
	}
	if c.JSON {
		if all == nil {
			all = []asked{}
		}
		return a.printJSON(all)
	}
	if len(all) == 0 {
		fmt.Fprintln(a.stdout, "Nothing waits.")
	}
	for _, x := range all {
		fmt.Fprintln(a.stdout, x.line())
	}
	return nil
}

// line is a proposal on one line.
func (x asked) line() string {
	text := fmt.Sprintf("%s  %-16s %s%s", x.Proposal.ID[:8], x.Bottle, view.Escape(what(x.Proposal)), labelled(x.Labels))
	if x.Proposal.Reason != "" {
		text += ": " + view.Escape(firstLine(x.Proposal.Reason))
	}
	return text
}

// supervising is a planning of what runs beside what is declared.
func (a *app) supervising(ctx context.Context, agents []string) (*planning, error) {
	p, err := a.planning(agents, state.Open)
	if err != nil {
		return nil, err
	}
	return p, p.decide(ctx, false)
}

func labelled(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	return " [" + strings.Join(labels, ", ") + "]"
}

func firstLine(text string) string {
	line, more, _ := strings.Cut(text, "\n")
	if more != "" {
		line += " ..."
	}
	return line
}

// what is a proposal in a few words; they are the agent's.
func what(p egress.Proposal) string {
	switch {
	case p.Route != nil:
		return "reach " + view.RouteWhole(*p.Route, nil)
	case p.Held != nil:
		return fmt.Sprintf("send what looks like a credential (%s in %s) to %s:%d", p.Held.Detector, p.Held.Place, p.Held.Host, p.Held.Port)
	case p.Push != nil:
		return fmt.Sprintf("push %s of %s was refused: %s", p.Push.Ref, p.Push.Remote, p.Push.Reason)
	}
	return "another image"
}

type superviseShowCmd struct {
	ID string `arg:"" help:"The beginning of its id."`
}

// Run shows one.
func (c *superviseShowCmd) Run(ctx context.Context, a *app) error {
	p, err := a.supervising(ctx, nil)
	if err != nil {
		return err
	}
	x, err := p.one(ctx, c.ID)
	if err != nil {
		return err
	}
	a.showAsked(x)
	return nil
}

// showAsked prints what is approved: every word of the agent's escaped, line by
// line.
func (a *app) showAsked(x asked) {
	fmt.Fprintf(a.stdout, "proposal  %s of %s, asked %s\n", x.Proposal.ID, x.Bottle, x.Proposal.Created.Local().Format(time.DateTime))
	fmt.Fprintf(a.stdout, "wants     %s\n", view.Escape(what(x.Proposal)))
	for _, l := range x.Labels {
		fmt.Fprintf(a.stdout, "!         %s\n", l)
	}
	if x.Proposal.Route != nil {
		for _, m := range x.Proposal.Route.Matches {
			fmt.Fprintf(a.stdout, "          methods %s, paths %s\n", view.Escape(orAll(m.Methods)), view.Escape(orAll(m.Paths)))
		}
	}
	for line := range strings.Lines(x.Proposal.Dockerfile) {
		fmt.Fprintf(a.stdout, "          | %s\n", view.Escape(strings.TrimRight(line, "\n")))
	}
	for line := range strings.Lines(x.Proposal.Reason) {
		fmt.Fprintf(a.stdout, "says      %s\n", view.Escape(strings.TrimRight(line, "\n")))
	}
	fmt.Fprintf(a.stdout, "digest    %s\n", x.Digest)
}

func orAll(words []string) string {
	if len(words) == 0 {
		return "all"
	}
	return strings.Join(words, " ")
}

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
	p, err := a.supervising(ctx, nil)
	if err != nil {
		return err
	}
	x, err := p.one(ctx, c.ID)
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

// approve has the intention on the record before anything changes, and the
// outcome after it.
func (a *app) approve(ctx context.Context, x asked, c *superviseApproveCmd) (err error) {
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
	store := approvals(p.state)
	r := approval.Record{Time: time.Now().UTC(), Who: who(), Event: approval.Approving, Instance: x.id.Name(), Proposal: &again.Proposal, Digest: x.Digest, Why: c.Why}
	if err := store.Append(x.id, r); err != nil {
		return err
	}
	defer func() {
		r.Time, r.Event = time.Now().UTC(), approval.Approved
		if err != nil {
			r.Event, r.Why = approval.Failed, err.Error()
		}
		err = errors.Join(err, store.Append(x.id, r))
	}()
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
	o := p.instanceOf(x.id)
	t := newTalk(ctx, p.drivers[o], x.id)
	defer t.close()
	if err := t.listed(ctx); err != nil {
		return err
	}
	if err := t.answer(ctx, answer); err != nil {
		a.warn(flatten(err)) // it is in force all the same
	}
	fmt.Fprintf(a.stdout, "Approved.\n")
	return nil
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

func (p *planning) instanceOf(id spec.ID) string {
	if s := p.specFor(id); s != nil {
		return s.Backend
	}
	return ""
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

type superviseRejectCmd struct {
	ID     string `arg:"" help:"The beginning of its id."`
	Reason string `help:"For the agent, and for the record." placeholder:"TEXT"`
}

// Run tells the agent no.
func (c *superviseRejectCmd) Run(ctx context.Context, a *app) error {
	p, err := a.supervising(ctx, nil)
	if err != nil {
		return err
	}
	x, err := p.one(ctx, c.ID)
	if err != nil {
		return err
	}
	t := newTalk(ctx, p.drivers[x.spec.Backend], x.id)
	defer t.close()
	if err := t.listed(ctx); err != nil {
		return err
	}
	if err := t.answer(ctx, egress.Answer{ID: x.Proposal.ID, Verdict: egress.Rejected, Reason: c.Reason}); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "Rejected.")
	return approvals(p.state).Append(x.id, approval.Record{
		Time: time.Now().UTC(), Who: who(), Event: approval.Rejected, Instance: x.id.Name(), Proposal: &x.Proposal, Digest: x.Digest, Why: c.Reason,
	})
}

type superviseRevokeCmd struct {
	Bottle      string        `arg:"" help:"The bottle, as bb ps names it."`
	ID          string        `arg:"" optional:"" help:"The proposal; without one, all that was approved."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"10s"`
}

// Run takes back what was approved.
func (c *superviseRevokeCmd) Run(ctx context.Context, a *app) error {
	p, o, err := a.instance(ctx, c.Bottle)
	if err != nil {
		return err
	}
	store := approvals(p.state)
	before, err := store.Read(o.ID)
	if err != nil {
		return err
	}
	after, n := before.Revoke(c.ID)
	if n == 0 {
		return diag.Errorf("nothing of %s is approved by that name", o.ID).WithHint("bb supervise promote %s lists what is", o.ID)
	}
	if err := store.Append(o.ID, approval.Record{Time: time.Now().UTC(), Who: who(), Event: approval.Revoked, Instance: o.ID.Name(), Why: c.ID}); err != nil {
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
