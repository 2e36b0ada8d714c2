package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Exec is one command in a running machine, as its image's user. There is no
// way to hand it a variable: what is secret comes by Stdin.
type Exec struct {
	Machine string
	Argv    []string
	Workdir string
	// Home and User set the two variables of these names, and no other can be
	// set: an argument list is for everybody to read.
	Home, User string
	Stdin      io.Reader // nil means empty
	// Stdout and Stderr get the output as it comes, without a limit.
	Stdout, Stderr io.Writer
}

func (x Exec) args() ([]string, error) {
	if err := CheckName(x.Machine); err != nil {
		return nil, err
	}
	if len(x.Argv) == 0 || x.Argv[0] == "" {
		return nil, errors.New("no command to run in the machine")
	}
	// Never without -i: the output of a plain exec ends at 11 MiB, silently.
	args := machineArgs("exec", x.Machine, "-i")
	if x.Workdir != "" {
		if err := checkGuestPath(x.Workdir); err != nil {
			return nil, err
		}
		args = append(args, "--workdir="+x.Workdir)
	}
	for _, v := range []struct{ name, value string }{{"HOME", x.Home}, {"USER", x.User}} {
		if v.value != "" {
			args = append(args, "-e", v.name+"="+v.value)
		}
	}
	args = append(append(args, "--"), x.Argv...)
	return args, checkArgs(args)
}

// Exec runs a command and returns its exit code. When ctx ends, smolvm kills
// the command. Exit 1 is smolvm's too: with a message of its form this is an
// *Error, Unsure while the machine runs, for a command can print the same. A
// step whose end must be certain goes through Run.
func (c *Client) Exec(ctx context.Context, x Exec) (int, error) {
	args, err := x.args()
	if err != nil {
		return -1, err
	}
	errOut := &tail{to: x.Stderr, max: maxStderr}
	cmd := c.command(ctx, args)
	cmd.Stdout, cmd.Stderr = x.Stdout, errOut
	if err := feed(cmd, x.Stdin); err != nil {
		return -1, err
	}
	code, err := wait(cmd)
	if ctx.Err() != nil {
		return -1, ctx.Err()
	}
	if err != nil {
		return -1, fmt.Errorf("smolvm machine exec: %w", err)
	}
	return code, c.judge(ctx, x.Machine, code, errOut.String())
}

// judge tells a failure of smolvm from one of the command: exit 1 or 2, a
// message of smolvm's form, and what status says of the machine.
func (c *Client) judge(ctx context.Context, machine string, code int, stderr string) error {
	switch code {
	case 2:
		if _, usage := usageError(stderr); usage {
			return failure("machine exec", machine, code, stderr)
		}
	case 1:
		message, found := ownError(stderr)
		if _, known := classify(message); !found || !known {
			return nil
		}
		e := failure("machine exec", machine, code, stderr)
		switch m, err := c.Status(ctx, machine); {
		case IsKind(err, NotFound):
			e.Kind = NotFound
		case err != nil:
			e.Unsure = true
		case m.State == Unreachable:
			e.Kind = Silent
		case m.State == Running:
			e.Unsure = true
		case e.Kind != NotRunning:
			e.Kind = NotRunning
		}
		return e
	}
	return nil
}

// Step is a short command of bb's own in a machine, whose end must be certain.
type Step struct {
	Machine string
	Argv    []string
	Stdin   io.Reader
	Limit   time.Duration // 0 means two minutes
	// Idempotent lets it be made once more when it was killed. Stdin must then
	// be nil or an io.Seeker.
	Idempotent bool
	MaxOutput  int // bytes of standard output, 0 means 64 MiB; more is an error
}

// Result of a step that ended by itself.
type Result struct {
	Code           int
	Stdout, Stderr []byte
}

// The shell has its path: an image's PATH may lead through directories that
// somebody in the machine writes to.
//
// marked runs a command and then says, on standard error, a word that nobody
// knew before, and the exit code. The shell gives the word to the command in no
// way but its own argument list.
const marked = `"$@"; s=$?; printf '\n%s %d\n' "$0" "$s" >&2; exit "$s"`

// Run runs a step. Its result comes from a mark that a shell in the machine
// prints at the end: without the mark the step is an *Error, whatever the exit
// code, so neither a failure of smolvm nor a cut output passes for a result. What the machine's root says is its own word.
func (c *Client) Run(ctx context.Context, s Step) (Result, error) {
	if s.Limit == 0 {
		s.Limit = 2 * time.Minute
	}
	r, err := c.step(ctx, s)
	if IsKind(err, Killed) && s.Idempotent && ctx.Err() == nil {
		if s.Stdin != nil {
			seeker, ok := s.Stdin.(io.Seeker)
			if !ok {
				return r, err
			}
			if _, seekErr := seeker.Seek(0, io.SeekStart); seekErr != nil {
				return r, errors.Join(err, seekErr)
			}
		}
		return c.step(ctx, s)
	}
	return r, err
}

func (c *Client) step(ctx context.Context, s Step) (Result, error) {
	mark := "bb-end-" + rand.Text()
	x := Exec{Machine: s.Machine, Argv: append([]string{"/bin/sh", "-c", marked, mark}, s.Argv...)}
	args, err := x.args()
	if err != nil {
		return Result{}, err
	}
	if len(s.Argv) == 0 {
		return Result{}, errors.New("no command to run in the machine")
	}
	out, stderr, code, err := c.once(ctx, call{
		op: "machine exec", machine: s.Machine, args: args, stdin: s.Stdin, limit: s.Limit, maxOut: s.MaxOutput,
	})
	if err != nil {
		return Result{}, err
	}
	before, after, ok := strings.Cut(stderr, "\n"+mark+" ")
	if n, err := strconv.Atoi(strings.TrimSpace(firstLine(after))); ok && err == nil && n == code {
		return Result{Code: n, Stdout: out, Stderr: []byte(before)}, nil
	}
	e := failure("machine exec", s.Machine, code, stderr)
	switch {
	case e.Kind != Other:
	case code == 0:
		e.Kind, e.Message = Truncated, "it ended with 0 before the command did"
	default:
		e.Message = fmt.Sprintf("it ended with %d before the command did: %s", code, e.Message)
	}
	e.Unsure = e.Kind != NotFound && e.Kind != NotRunning && e.Kind != Usage
	return Result{}, e
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
