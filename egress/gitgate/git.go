package gitgate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bot-bottle/bb/egress/child"
)

// gitRun is one run of git in a repository of the gate's own. It reaches no
// upstream.
type gitRun struct {
	// Dir is the repository: the working directory, and GIT_DIR.
	Dir string
	// Env is added to the gate's own environment, and wins.
	Env    []string
	Args   []string
	Stdin  io.Reader
	Stdout io.Writer
	Files  []*os.File // descriptors 3 and on
	// Limit is how long it may take; zero means gitLimit.
	Limit time.Duration
}

const (
	gitLimit = 2 * time.Minute
	gitGrace = 3 * time.Second
	maxTail  = 8 << 10
)

// gitError is a git that failed. Its text may quote what a bottle or an
// upstream sent: it is for notes.
type gitError struct {
	Verb string
	Said string // the end of its standard error
	err  error
}

func (e *gitError) Error() string { return fmt.Sprintf("git %s: %v: %s", e.Verb, e.err, e.Said) }
func (e *gitError) Unwrap() error { return e.err }

// baseEnv is all that git sees of the world, with the configuration that no
// repository may set: every repository of the gate belongs to it.
var baseEnv = []string{
	"PATH=" + child.Path,
	"HOME=/nonexistent",
	"LC_ALL=C",
	"GIT_DIR=.",
	"GIT_CONFIG_NOSYSTEM=1",
	"GIT_CONFIG_SYSTEM=/dev/null",
	"GIT_CONFIG_GLOBAL=/dev/null",
	"GIT_ATTR_NOSYSTEM=1",
	"GIT_TERMINAL_PROMPT=0",
	"GIT_ASKPASS=/bin/false",
	"GIT_NO_LAZY_FETCH=1",
	"GIT_NO_REPLACE_OBJECTS=1",
	"GIT_ALLOW_PROTOCOL=none",
	"GIT_CONFIG_COUNT=1",
	"GIT_CONFIG_KEY_0=safe.directory",
	"GIT_CONFIG_VALUE_0=*",
}

// git runs git to its end, or ctx's; then its process group is gone.
func (g *Gate) git(ctx context.Context, c gitRun) error {
	if c.Limit <= 0 {
		c.Limit = gitLimit
	}
	ctx, cancel := context.WithTimeout(ctx, c.Limit)
	defer cancel()
	said := &tail{}
	out, whole, err := wholly(ctx, c.Stdout)
	if err != nil {
		return err
	}
	err = child.Run(ctx, child.Options{
		Path: g.program, Name: "git", Args: c.Args, Dir: c.Dir,
		Env:   append(append([]string{}, baseEnv...), c.Env...),
		Stdin: c.Stdin, Stdout: out, Stderr: said, Files: c.Files,
		Limits: child.Limits{Descriptors: 1024}, Grace: gitGrace,
	})
	unsaid := whole()
	if err == nil || errors.Is(err, child.ErrWaitDelay) { // the latter: it succeeded, and left something unread
		err = unsaid
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &gitError{Verb: c.Args[0], Said: line(said.String()), err: err}
}

// wholly returns what a child writes to as its standard output, and what waits,
// after its end, until w has all of that: however long w takes, within ctx.
// Package exec would wait for a time and then drop the rest of a program that
// succeeded; of a list of objects that is what nobody searches.
func wholly(ctx context.Context, w io.Writer) (out io.Writer, wait func() error, err error) {
	if w == nil {
		return nil, func() error { return nil }, nil
	}
	r, into, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, r)
		_ = r.Close() // one that writes on is told
		copied <- err
	}()
	return into, func() error {
		_ = into.Close()
		select {
		case err := <-copied:
			return err
		case <-ctx.Done():
		}
		_ = r.SetReadDeadline(time.Now())
		late := time.NewTimer(gitGrace)
		defer late.Stop()
		select {
		case err := <-copied:
			return err
		case <-late.C: // w takes nothing and cannot be made to
			return context.Cause(ctx)
		}
	}, nil
}

// tail keeps the end of what is written.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	p = p[max(0, n-maxTail):]
	if over := t.Len() + len(p) - maxTail; over > 0 {
		t.Next(over)
	}
	t.Buffer.Write(p)
	return n, nil
}
