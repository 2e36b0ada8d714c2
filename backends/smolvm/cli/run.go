package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/engine/diag"
)

// StartLimits are how long a start may take. The first one of a machine may pull
// or unpack an image inside it: smolvm itself gives that 15 minutes.
type StartLimits struct{ First, Later time.Duration }

var startLimits = StartLimits{First: 20 * time.Minute, Later: 3 * time.Minute}

// Limits of the other calls.
const (
	quickLimit  = 10 * time.Second
	listLimit   = 60 * time.Second // 3 s for each machine that hangs
	createLimit = 15 * time.Minute // an archive is copied and hashed
	stopLimit   = 2 * time.Minute

	// grace is what a call gets between SIGTERM and SIGKILL.
	grace = 2 * time.Second

	maxOutput = 64 << 20 // bytes that are kept of an output
	maxStderr = 64 << 10
)

// call is one run of smolvm whose output is read whole.
type call struct {
	op      string // for messages
	machine string
	args    []string
	stdin   io.Reader
	limit   time.Duration // 0 means none
	// idempotent calls are made once more when they were killed.
	idempotent bool
	maxOut     int
	env        []string // beside the client's
}

// run makes a call and returns its standard output. What ends with 137 is made
// once more, and only when that cannot do anything twice.
func (c *Client) run(ctx context.Context, k call) ([]byte, error) {
	out, stderr, code, err := c.once(ctx, k)
	if err == nil && code == 137 && k.idempotent && k.stdin == nil && ctx.Err() == nil {
		out, stderr, code, err = c.once(ctx, k)
	}
	if err != nil {
		return nil, err
	}
	if code != 0 {
		return nil, failure(k.op, k.machine, code, stderr)
	}
	return out, nil
}

// once makes a call. The error is non-nil when smolvm did not end by itself or
// printed more than is kept.
func (c *Client) once(parent context.Context, k call) (stdout []byte, stderr string, code int, err error) {
	ctx := parent
	if k.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(parent, k.limit)
		defer cancel()
	}
	limit := k.maxOut
	if limit == 0 {
		limit = maxOutput
	}
	out, errOut := &head{max: limit}, &tail{max: maxStderr}
	cmd := c.command(ctx, k.args)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = k.stdin, out, errOut
	cmd.Env = slices.Concat(cmd.Env, k.env)
	code, err = wait(cmd)
	switch {
	case parent.Err() != nil:
		return nil, "", -1, parent.Err()
	case ctx.Err() != nil:
		return nil, "", -1, &Error{Kind: Timeout, Op: k.op, Machine: k.machine, Code: -1, Message: fmt.Sprintf("no answer within %s", k.limit)}
	case err != nil:
		return nil, "", -1, fmt.Errorf("smolvm %s: %w", k.op, err)
	case out.over:
		return nil, "", -1, &Error{Kind: Truncated, Op: k.op, Machine: k.machine, Code: code, Message: fmt.Sprintf("it printed more than %d bytes", limit)}
	}
	return out.buf.Bytes(), errOut.String(), code, nil
}

func (c *Client) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Path, args...)
	cmd.Env, cmd.Dir = c.env, "/"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	// The machine's process may hold the pipes open after smolvm has ended.
	cmd.WaitDelay = grace
	// Ctrl-C goes to bb, which decides what it means.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// wait runs cmd and returns its exit code; a death by signal n is 128+n.
func wait(cmd *exec.Cmd) (int, error) {
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return -1, err
	}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal()), nil
	}
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay) || cmd.ProcessState.ExitCode() != 0 {
		return cmd.ProcessState.ExitCode(), nil // an error of copying counts for less
	}
	return cmd.ProcessState.ExitCode(), err
}

// head keeps the first bytes and notes that there were more.
type head struct {
	buf  bytes.Buffer
	max  int
	over bool
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.max-h.buf.Len())
	h.buf.Write(p[:n])
	h.over = h.over || n < len(p)
	return len(p), nil
}

// tail keeps the last bytes and hands all of them on.
type tail struct {
	to  io.Writer // nil means nobody
	buf []byte
	max int
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*t.max {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-t.max:]...)
	}
	if t.to != nil {
		return t.to.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf[max(0, len(t.buf)-t.max):]) }

func locate(getenv func(string) string) (string, error) {
	if path := getenv("BB_SMOLVM"); path != "" {
		abs, err := filepath.Abs(path)
		if err == nil {
			abs, err = exec.LookPath(abs)
		}
		if err != nil {
			return "", diag.Errorf("BB_SMOLVM names %s, which cannot be run: %v", path, cause(err)).
				WithHint("let BB_SMOLVM name the smolvm program, or unset it to use the one on PATH")
		}
		return abs, nil
	}
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue // the working directory is no place to take a program from
		}
		if path, err := exec.LookPath(filepath.Join(dir, "smolvm")); err == nil {
			return path, nil
		}
	}
	return "", diag.Errorf("smolvm is not installed").
		WithHint("install smolvm %s or later and put it on PATH, or let BB_SMOLVM name it", MinVersion)
}

func cause(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return diag.Cause(err)
}

// feed gives cmd its standard input without making its end wait for a reader
// that has nothing to say.
func feed(cmd *exec.Cmd, stdin io.Reader) error {
	if file, ok := stdin.(*os.File); ok || stdin == nil {
		if file != nil {
			cmd.Stdin = file
		}
		return nil
	}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		go func() {
			_, _ = io.Copy(pipe, stdin) // ends when the command does
			pipe.Close()
		}()
	}
	return err
}
