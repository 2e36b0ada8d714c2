package smolvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/egress/door/session"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// farewell is how long a session that is given up may take to end: its
// program's grace, and some. What takes longer ends without bb.
const farewell = 4 * time.Second

// command is one program run as the agent's user.
type command struct {
	argv           []string
	workdir        string
	stdin          io.Reader
	stdout, stderr io.Writer // nil: kept, up to a bound, in the result
}

type result struct {
	code           int
	stdout, stderr string
}

// maxOutput bounds what is kept of a command's output.
const maxOutput = 1 << 20

// Exec runs a command as the agent's user in its workspace.
func (d *Driver) Exec(ctx context.Context, id spec.ID, r backends.ExecRequest) (int, error) {
	if len(r.Argv) == 0 {
		return 0, diag.Errorf("no command given")
	}
	if err := session.CheckName(r.Session); err != nil {
		return 0, err
	}
	m, err := d.running(ctx, id)
	if err != nil {
		return 0, err
	}
	made, err := fixedOf(*m)
	if err != nil {
		return 0, err
	}
	leave, err := d.enter(id)
	if err != nil {
		return 0, err
	}
	defer leave()
	o := session.Options{Name: r.Session, Processes: processes(made)}
	var resize <-chan backends.Size
	if t := r.Terminal; t != nil {
		o.Terminal = &session.Terminal{Type: t.Type, Size: session.Size(t.Size)}
		resize = t.Resize
	}
	res, err := d.session(ctx, id, o, resize, command{
		argv: r.Argv, workdir: made.Workspace.Workdir(), stdin: r.Stdin, stdout: r.Stdout, stderr: r.Stderr,
	})
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("command in %s: %w", id, ctx.Err())
	case errors.Is(err, session.ErrBusy):
		return 0, backends.ErrSessionBusy
	case errors.Is(err, session.ErrNotStarted), errors.Is(err, session.ErrFrame):
		return 0, notStarted(id, err)
	}
	return res.code, err
}

func notStarted(id spec.ID, err error) error {
	return diag.Errorf("command in %s: %v", id, err).
		WithHint("something in the bottle is in the way, or another version of bb made it; "+
			"'bb destroy %s' and apply again if that is not meant", id)
}

// runuser becomes the agent's user without a login shell. By its path: the
// image's PATH may lead through directories of the agent.
var runuser = []string{"/sbin/runuser", "-u", spec.User, "--"}

// session runs c in a started machine below a supervisor, whose frames carry
// the input, its end, and the terminal's size: smolvm's own terminal follows no
// change of it. When ctx ends, or this process does, the supervisor's input
// ends, and with it the command and all that it started.
func (d *Driver) session(ctx context.Context, id spec.ID, o session.Options,
	resize <-chan backends.Size, c command,
) (result, error) {
	smol, err := d.client(ctx)
	if err != nil {
		return result{}, err
	}
	out, errOut := &guest.Tail{Limit: maxOutput}, &guest.Tail{Limit: 64 << 10}
	if c.stdout == nil {
		c.stdout, c.stderr = out, errOut
	}
	if o.Terminal != nil {
		c.stderr = c.stdout // a terminal has one output, whatever the bottle says
	}
	if c.stdin == nil {
		c.stdin = bytes.NewReader(nil)
	}
	fromHere, toThere := io.Pipe()
	client := session.NewClient(toThere, c.stderr)
	stdout, frames := &valve{to: c.stdout}, &valve{to: &preamble{to: client}}
	inner, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	x := cli.Exec{
		Machine: id.Name(), Workdir: c.workdir, Home: spec.Home, User: spec.User,
		Argv:  append(append([]string{}, runuser...), session.Command(spec.BinaryPath, o, c.argv)...),
		Stdin: fromHere, Stdout: stdout, Stderr: frames,
	}
	stopped := make(chan struct{})
	defer close(stopped)
	go func() { _ = client.Input(c.stdin) }() // a command may end before it has read all
	go follow(client, resize, stopped)
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		code, err := smol.Exec(inner, x)
		_ = fromHere.Close() // nobody reads any more
		ended <- end{code, err}
	}()
	hangUp := func() {
		stdout.shut.Store(true)
		frames.shut.Store(true)
		_ = toThere.Close()
		select {
		case <-ended:
		case <-time.After(farewell):
			kill()
			<-ended
		}
	}
	var e end
	select {
	case e = <-ended:
	case <-ctx.Done():
		hangUp()
		_ = client.Close()
		return result{}, ctx.Err()
	case <-frames.broken():
		hangUp()
		_ = client.Close()
		return result{}, frames.err()
	case <-stdout.broken():
		hangUp()
		_ = client.Close()
		return result{}, stdout.err()
	}
	became := client.Close()
	res := result{code: e.code, stdout: out.String(), stderr: errOut.String()}
	switch {
	case ctx.Err() != nil:
		return res, ctx.Err()
	case frames.err() != nil, became != nil && !errors.Is(became, session.ErrBusy):
		// What is no frame is smolvm's own word, or a lie of the bottle.
		var own *cli.Error
		if errors.As(e.err, &own) {
			return res, own
		}
		return res, errors.Join(became, frames.err())
	case became != nil:
		return res, became
	}
	// All that came was in the form of a session, so smolvm said nothing.
	if e.err != nil {
		var own *cli.Error
		if !errors.As(e.err, &own) || own.Kind == cli.NotRunning || own.Kind == cli.NotFound || own.Kind == cli.Silent {
			return res, e.err
		}
	}
	return res, nil
}

func follow(client *session.Client, resize <-chan backends.Size, stopped <-chan struct{}) {
	for {
		select {
		case s, ok := <-resize:
			if !ok {
				return
			}
			_ = client.Resize(session.Size(s))
		case <-stopped:
			return
		}
	}
}
