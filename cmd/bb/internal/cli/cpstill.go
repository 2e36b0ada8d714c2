package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress/door/tree"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// still makes a copy one out of a bottle in which nothing runs, where o is that:
// its backend reads it then, and nothing can be put into it.
func (j *copying) still(o *plan.Instance, out bool) error {
	if o == nil || o.Agent == nil || o.Agent.Running {
		return nil // what is half-made says so itself
	}
	off := diag.Errorf("%s does not run: nothing can be copied into it", o.ID)
	if out {
		a, ok := j.driver.(backends.Archiver)
		if ok {
			j.archive, j.workdir = a, workdirOf(o)
			return nil
		}
		off = diag.Errorf("%s does not run, and %s reads no bottle that does not", o.ID, o.Backend)
	}
	return off.WithHint("%s", backends.BringsBack(o.ID))
}

// workdirOf is where paths of a bottle begin.
func workdirOf(o *plan.Instance) string {
	var f spec.Fixed
	if json.Unmarshal([]byte(o.Agent.SpecJSON), &f) != nil {
		return spec.Workdir
	}
	return f.Workspace.Workdir()
}

// absolute is a path of the bottle as no shell in it reads it.
func (j *copying) absolute() string {
	rest, home := strings.CutPrefix(j.guest, "~")
	switch {
	case home && (rest == "" || rest[0] == '/'):
		return path.Join(spec.Home, rest)
	case path.IsAbs(j.guest):
		return path.Clean(j.guest)
	}
	return path.Join(j.workdir, j.guest)
}

// readStill is read for a bottle in which nothing runs.
func (j *copying) readStill(ctx context.Context) (*io.PipeReader, func(context.Context, error) error) {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := j.archive.Archive(ctx, j.id, j.absolute(), w)
		_ = w.CloseWithError(err)
		done <- err
	}()
	stop := context.AfterFunc(ctx, func() { _ = r.CloseWithError(context.Cause(ctx)) })
	return r, func(ctx context.Context, failed error) error {
		defer stop()
		err := <-done
		var refused *tree.Refused
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(failed, &refused):
			return failed
		case errors.Is(err, fs.ErrNotExist):
			return diag.Errorf("%s: no such file or directory", j.shown)
		case err != nil && !errors.Is(err, io.ErrClosedPipe):
			return err
		}
		return failed
	}
}
