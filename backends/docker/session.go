package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress/door/session"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// farewell is how long a session that is given up may take to end: its
// program's grace, and some. What takes longer ends without bb.
const farewell = 4 * time.Second

// Exec runs a command as the agent's user in its workspace.
func (d *Driver) Exec(ctx context.Context, id spec.ID, r backends.ExecRequest) (int, error) {
	if len(r.Argv) == 0 {
		return 0, diag.Errorf("no command given")
	}
	if err := session.CheckName(r.Session); err != nil {
		return 0, err
	}
	agent, err := d.running(ctx, id, spec.RoleAgent)
	if err != nil {
		return 0, err
	}
	o := session.Options{Name: r.Session}
	var resize <-chan backends.Size
	if t := r.Terminal; t != nil {
		o.Terminal = &session.Terminal{Type: t.Type, Size: session.Size(t.Size)}
		resize = t.Resize
	}
	res, err := d.session(ctx, agent.ID, o, resize, command{
		argv: r.Argv, stdin: r.Stdin, stdout: r.Stdout, stderr: r.Stderr,
	})
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("command in %s: %w", id, ctx.Err())
	case errors.Is(err, session.ErrBusy):
		return 0, backends.ErrSessionBusy
	case errors.Is(err, session.ErrNotStarted), errors.Is(err, session.ErrFrame):
		return 0, notStarted(id, err)
	}
	return res.code, d.wrap(err, "command in %s", id)
}

func notStarted(id spec.ID, err error) error {
	return diag.Errorf("command in %s: %v", id, err).
		WithHint("something in the bottle is in the way, or another version of bb made it; "+
			"'bb destroy %s' and apply again if that is not meant", id)
}

// session runs c in a started agent below a supervisor. When ctx ends or
// nobody takes the output any more, the supervisor's input ends, and with it
// the command and all that it started.
func (d *Driver) session(ctx context.Context, agent string, o session.Options,
	resize <-chan backends.Size, c command,
) (result, error) {
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
	made, err := d.engine.ContainerExecCreate(ctx, agent, container.ExecOptions{
		User: agentUser, Env: c.env, Cmd: session.Command(spec.BinaryPath, o, c.argv),
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return result{}, err
	}
	stream, err := d.engine.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return result{}, err
	}
	defer stream.Close()
	client := session.NewClient(stream.Conn, c.stderr)
	stopped := make(chan struct{})
	defer close(stopped)
	go func() { _ = client.Input(c.stdin) }() // a command may end before it has read all
	go func() {
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
	}()
	err = carry(ctx, stream, c.stdout, client)
	became := client.Close()
	res := result{stdout: out.String(), stderr: errOut.String()}
	if err != nil {
		return res, err
	}
	if res.code, err = d.exitCode(ctx, made.ID); err != nil {
		return res, err
	}
	return res, became
}

// carry copies what comes until it ends. Where that is not the command's doing,
// it hangs up and waits for the end, in which nobody is interested any more.
func carry(ctx context.Context, stream types.HijackedResponse, stdout io.Writer, client *session.Client) error {
	out, back := &valve{to: stdout}, &valve{to: client}
	copied, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		_, err := stdcopy.StdCopy(out, back, stream.Reader)
		copied <- err
		if err != nil {
			_, _ = io.Copy(io.Discard, stream.Reader)
		}
	}()
	var err error
	select {
	case err = <-copied:
		if err == nil {
			return nil
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	out.shut.Store(true)
	back.shut.Store(true)
	_ = stream.CloseWrite()
	select {
	case <-ended:
	case <-time.After(farewell):
	}
	return err
}

// valve passes what is written until it is shut.
type valve struct {
	to   io.Writer
	shut atomic.Bool
}

func (v *valve) Write(p []byte) (int, error) {
	if v.shut.Load() {
		return len(p), nil
	}
	return v.to.Write(p)
}
