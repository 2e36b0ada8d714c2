package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
)

type logsCmd struct {
	Agent   string `arg:"" help:"The bottle, as bb ps names it."`
	Sidecar bool   `help:"The sidecar's state lines." xor:"what"`
	Egress  bool   `help:"What the sidecar decided, one JSON line a request." xor:"what,follow"`
	Follow  bool   `short:"f" help:"Keep following (not with --egress)." xor:"follow"`
	Tail    int    `help:"Only the last N lines." placeholder:"N"`
}

// Validate is called by kong.
func (c *logsCmd) Validate() error {
	if c.Tail < 0 {
		return errors.New("--tail counts lines from the end: 1 or more")
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
	if c.Egress {
		raw, err := d.Control(ctx, o.ID, "log")
		if err != nil {
			return err
		}
		return a.accessLog(o.ID.String(), raw, c.Tail)
	}
	ctx, release := a.untilSignal(ctx)
	defer release()
	return contextErr(ctx, d.Logs(ctx, o.ID, backends.LogRequest{
		Sidecar: c.Sidecar, Follow: c.Follow, Tail: c.Tail,
	}, a.stdout))
}

// accessLog prints the bounded log that the sidecar keeps in memory.
func (a *app) accessLog(name string, raw []byte, tail int) error {
	var reply egress.Reply
	if err := json.Unmarshal(raw, &reply); err != nil {
		return fmt.Errorf("%s: the sidecar's answer is not readable: %w", name, err)
	}
	var lines []json.RawMessage
	if err := json.Unmarshal(reply.Data, &lines); err != nil {
		return fmt.Errorf("%s: the sidecar's log is not readable: %w", name, err)
	}
	if tail > 0 {
		lines = lines[max(len(lines)-tail, 0):]
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(a.stdout, view.Escape(string(l))); err != nil {
			return err
		}
	}
	return nil
}
