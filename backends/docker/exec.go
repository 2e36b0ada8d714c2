package docker

import (
	"context"
	"io"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/bot-bottle/bb/backends/guest"
)

// command is one program run in a container.
type command struct {
	argv           []string
	user           string
	env            []string
	stdin          io.Reader
	stdout, stderr io.Writer // nil: kept, up to a bound, in the result
}

type result struct {
	code           int
	stdout, stderr string
}

// maxOutput bounds what is kept of a command's output.
const maxOutput = 1 << 20

// command runs c to its end, as it is: for a sidecar, which is bb's own. What
// runs in an agent is a session. A non-zero exit is a result, not an error.
func (d *Driver) command(ctx context.Context, id string, c command) (result, error) {
	out, errOut := &guest.Tail{Limit: maxOutput}, &guest.Tail{Limit: 64 << 10}
	if c.stdout == nil {
		c.stdout, c.stderr = out, errOut
	}
	made, err := d.engine.ContainerExecCreate(ctx, id, container.ExecOptions{
		User: c.user, Env: c.env, Cmd: c.argv,
		AttachStdin: c.stdin != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return result{}, err
	}
	stream, err := d.engine.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return result{}, err
	}
	defer stream.Close()
	if err := pump(ctx, stream, c); err != nil {
		return result{}, err
	}
	code, err := d.exitCode(ctx, made.ID)
	return result{code: code, stdout: out.String(), stderr: errOut.String()}, err
}

// pump carries the streams until the program's output ends or ctx does.
func pump(ctx context.Context, stream types.HijackedResponse, c command) error {
	stop := context.AfterFunc(ctx, stream.Close)
	defer stop()
	if c.stdin != nil {
		go func() {
			_, _ = io.Copy(stream.Conn, c.stdin) // a program may end before it has read all
			_ = stream.CloseWrite()
		}()
	}
	_, err := stdcopy.StdCopy(c.stdout, c.stderr, stream.Reader)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// exitCode waits for the engine to notice the end: the streams close first.
func (d *Driver) exitCode(ctx context.Context, exec string) (int, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		i, err := d.engine.ContainerExecInspect(ctx, exec)
		if err != nil || !i.Running {
			return i.ExitCode, err
		}
		if err := sleep(ctx, wait); err != nil {
			return 0, err
		}
	}
}
