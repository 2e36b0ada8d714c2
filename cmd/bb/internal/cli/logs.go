package cli

import (
	"context"
	"errors"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
)

type logsCmd struct {
	Agent   string `arg:"" help:"The bottle, as bb ps names it."`
	Sidecar bool   `help:"The sidecar's state lines." xor:"what"`
	Egress  bool   `help:"What the sidecar decided, one line a request." xor:"what"`
	Denied  bool   `help:"With --egress: only what did not pass as it was sent."`
	JSON    bool   `help:"With --egress: the lines as the sidecar keeps them."`
	Follow  bool   `short:"f" help:"Keep following."`
	Tail    int    `help:"Only the last N lines." placeholder:"N"`
}

// Validate is called by kong.
func (c *logsCmd) Validate() error {
	switch {
	case c.Tail < 0:
		return errors.New("--tail counts lines from the end: 1 or more")
	case (c.Denied || c.JSON) && !c.Egress:
		return errors.New("--denied and --json are for --egress")
	}
	return nil
}

// Run copies a log to stdout.
func (c *logsCmd) Run(ctx context.Context, a *app) error {
	p, o, err := a.instance(ctx, c.Agent)
	if err != nil {
		return err
	}
	d := p.drivers[o.Backend]
	ctx, release := a.untilSignal(ctx)
	defer release()
	if c.Egress {
		style := a.style(a.stdout)
		l := &sidecarLog{
			a: a, id: o.ID, driver: d, agent: c.Agent, follow: c.Follow, last: c.Tail, json: c.JSON,
			text: func(line []byte) (string, bool) {
				entry, ok := view.ParseAccess(line)
				return style.Access(entry), ok && (entry.Refused() || !c.Denied)
			},
		}
		err := l.run(ctx)
		if err == nil && l.shown == 0 {
			what := "the sidecar of %s has decided about nothing yet"
			if c.Denied {
				what = "nothing that %s asked for was refused"
			}
			l.say(what, o.ID)
		}
		return err
	}
	return contextErr(ctx, d.Logs(ctx, o.ID, backends.LogRequest{
		Sidecar: c.Sidecar, Follow: c.Follow, Tail: c.Tail,
	}, a.stdout))
}
