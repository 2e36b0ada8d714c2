package pipelock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bot-bottle/bb/egress/child"
)

// maxCommand bounds what is kept of a command's output.
const maxCommand = 16 << 10

// command runs the program to its end and returns what it wrote.
func (o Options) command(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, o.waits.command)
	defer cancel()
	var out limited
	err := o.child(ctx, []string{}, &out, args...)
	if ctx.Err() != nil {
		err = errors.New("it takes too long")
	}
	return out.String(), err
}

// child runs the program until it ends, or ctx does: with no file that fills the
// directory, and not all descriptors; its connections are two for each request
// of bb's.
func (o Options) child(ctx context.Context, env []string, out outlet, args ...string) error {
	dir := o.Dir
	if len(args) == 1 {
		dir = "/" // the private directory comes later
	}
	return child.Run(ctx, child.Options{
		Path: o.Binary, Args: args, Dir: dir, Env: env, Stdout: out, Stderr: out, Grace: o.waits.end,
		Limits: child.Limits{FileSize: 16 << 20, Descriptors: 4096},
	})
}

// keep runs the program, and again when it dies, until life ends.
func (p *Process) keep(life context.Context) {
	defer close(p.done)
	for wait := p.o.waits.first; ; wait = min(2*wait, p.o.waits.most) {
		began := time.Now()
		events := &events{note: p.o.Note}
		err := p.o.child(life, p.env, events, "run", "--config", p.config)
		if err == nil {
			err = errors.New("it ended by itself")
		}
		err = fmt.Errorf("%w%s", err, events.last())
		switch {
		case life.Err() != nil:
			return
		case !p.up.Load():
			p.failed <- err
			return
		}
		if time.Since(began) > p.o.waits.calm {
			wait = p.o.waits.first
		}
		p.o.Note("pipelock ended, nothing passes until it is back in %s: %s", wait, err)
		select {
		case <-life.Done():
			return
		case <-time.After(wait):
		}
	}
}

// outlet takes what a program writes, also on two descriptors at once: the
// same value for both makes os/exec use one pipe.
type outlet interface{ Write([]byte) (int, error) }

// limited keeps the beginning.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxCommand - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
