package docker

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
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

// command runs c to its end. A non-zero exit is a result, not an error.
func (d *Driver) command(ctx context.Context, id string, c command) (result, error) {
	out, errOut := &bounded{limit: maxOutput}, &bounded{limit: 64 << 10}
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

// execMark is a variable that tells the processes of one command: it is how
// they are found when the command is given up.
const execMark = "BB_EXEC"

func newMark() string {
	var random [8]byte
	_, _ = rand.Read(random[:])
	return execMark + "=" + hex.EncodeToString(random[:])
}

// Exec runs a command as the agent's user in its workspace.
func (d *Driver) Exec(ctx context.Context, id spec.ID, r backends.ExecRequest) (int, error) {
	if len(r.Argv) == 0 {
		return 0, diag.Errorf("no command given")
	}
	c, err := d.running(ctx, id, spec.RoleAgent)
	if err != nil {
		return 0, err
	}
	mark := newMark()
	stdin := r.Stdin
	if stdin == nil {
		stdin = bytes.NewReader(nil)
	}
	res, err := d.command(ctx, c.ID, command{
		argv: append([]string{spec.BinaryPath, "door", "exec", "--"}, r.Argv...), user: agentUser,
		env: []string{mark}, stdin: stdin, stdout: r.Stdout, stderr: r.Stderr,
	})
	if ctx.Err() != nil || err != nil { // also when nobody reads its output any more
		d.giveUp(context.WithoutCancel(ctx), c.ID, mark)
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("command in %s: %w", id, ctx.Err())
	}
	return res.code, d.wrap(err, "command in %s", id)
}

// giveUp kills what a command left behind. The engine has no call for it, and
// closing the stream ends no program that does not read or write: so a shell
// in the bottle looks for the mark that all of them inherited. A program that
// dropped its environment stays.
func (d *Driver) giveUp(ctx context.Context, id, mark string) {
	const script = `for p in /proc/[0-9]*; do
  [ "${p#/proc/}" != $$ ] && grep -qsF -- "$0" "$p/environ" && kill -9 "${p#/proc/}"
done 2>/dev/null`
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, _ = d.command(ctx, id, command{argv: []string{"/bin/sh", "-c", script, mark}, user: agentUser})
}
