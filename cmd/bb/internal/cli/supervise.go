package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
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
	text := fmt.Sprintf("%s  %-16s %s%s", short(x.Proposal.ID), x.Bottle, view.Escape(what(x.Proposal)), labelled(x.Labels))
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

// oneAsked is what waits and begins with an id, of all bottles.
func (a *app) oneAsked(ctx context.Context, id string) (*planning, asked, error) {
	p, err := a.supervising(ctx, nil)
	if err != nil {
		return nil, asked{}, err
	}
	x, err := p.one(ctx, id)
	return p, x, err
}

// short is as much of an id as a line has room for.
func short(id string) string { return id[:min(8, len(id))] }

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
	_, x, err := a.oneAsked(ctx, c.ID)
	if err != nil {
		return err
	}
	a.showAsked(x)
	return nil
}

// showAsked prints what is approved.
func (a *app) showAsked(x asked) { fmt.Fprint(a.stdout, x.whole()) }

// whole is all that is approved with it: every word of the agent's escaped, line
// by line.
func (x asked) whole() string {
	var b strings.Builder
	fmt.Fprintf(&b, "proposal  %s of %s, asked %s\n", x.Proposal.ID, x.Bottle, x.Proposal.Created.Local().Format(time.DateTime))
	fmt.Fprintf(&b, "wants     %s\n", view.Escape(what(x.Proposal)))
	for _, l := range x.Labels {
		fmt.Fprintf(&b, "!         %s\n", l)
	}
	if x.Proposal.Route != nil {
		for _, m := range x.Proposal.Route.Matches {
			fmt.Fprintf(&b, "          methods %s, paths %s\n", view.Escape(orAll(m.Methods)), view.Escape(orAll(m.Paths)))
		}
	}
	for line := range strings.Lines(x.Proposal.Dockerfile) {
		fmt.Fprintf(&b, "          | %s\n", view.Escape(strings.TrimRight(line, "\n")))
	}
	for line := range strings.Lines(x.Proposal.Reason) {
		fmt.Fprintf(&b, "says      %s\n", view.Escape(strings.TrimRight(line, "\n")))
	}
	fmt.Fprintf(&b, "digest    %s\n", x.Digest)
	return b.String()
}

func orAll(words []string) string {
	if len(words) == 0 {
		return "all"
	}
	return strings.Join(words, " ")
}
