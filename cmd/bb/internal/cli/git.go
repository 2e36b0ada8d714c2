package cli

import (
	"context"
	"errors"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
)

// gitCmd is what concerns the git gate.
type gitCmd struct {
	Log gitLogCmd `cmd:"" help:"List the pushes of a bottle: accepted, refused, and why."`
}

type gitLogCmd struct {
	Agent   string `arg:"" help:"The bottle, as bb ps names it."`
	Refused bool   `help:"Only what did not reach its upstream."`
	JSON    bool   `help:"The lines as the sidecar keeps them."`
	Follow  bool   `short:"f" help:"Keep following."`
	Tail    int    `help:"Only the last N lines." placeholder:"N"`
}

// Validate is called by kong.
func (c *gitLogCmd) Validate() error {
	if c.Tail < 0 {
		return errors.New("--tail counts lines from the end: 1 or more")
	}
	return nil
}

// Run copies the log of pushes to stdout.
func (c *gitLogCmd) Run(ctx context.Context, a *app) error {
	p, o, err := a.instance(ctx, c.Agent)
	if err != nil {
		return err
	}
	ctx, release := a.untilSignal(ctx)
	defer release()
	style := a.style(a.stdout)
	l := &sidecarLog{
		a: a, id: o.ID, driver: p.drivers[o.Backend], agent: c.Agent, log: egress.LogGit,
		follow: c.Follow, last: c.Tail, json: c.JSON,
		text: func(line []byte) (string, bool) {
			push, ok := view.ParsePush(line)
			return style.Push(push), ok && (push.Refused() || !c.Refused)
		},
	}
	err = l.run(ctx)
	if err == nil && l.shown == 0 {
		what := "%s has pushed nothing yet"
		if c.Refused {
			what = "nothing that %s pushed was refused"
		}
		l.say(what, o.ID)
	}
	return err
}
