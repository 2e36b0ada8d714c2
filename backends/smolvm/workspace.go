package smolvm

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress/door/tree"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// openWorkspace opens the directory that the plan showed, and not what a link
// has put in its place since.
func openWorkspace(w spec.Workspace) (*os.Root, error) {
	moved := diag.Errorf("workspace %s is not the directory it was when the plan was made", w.Path).
		WithHint("look at it, then run the same command again")
	if real, err := filepath.EvalSymlinks(w.Path); err != nil || real != w.Path {
		return nil, moved
	}
	before, err := os.Lstat(w.Path)
	if err != nil || !before.IsDir() {
		return nil, moved
	}
	root, err := os.OpenRoot(w.Path)
	if err != nil {
		return nil, diag.Errorf("workspace %s: %v", w.Path, err).WithHint("it must be readable for you")
	}
	if now, err := root.Stat("."); err != nil || !os.SameFile(before, now) {
		_ = root.Close()
		return nil, moved
	}
	return root, nil
}

// fillLimit bounds the copy of a workspace.
const fillLimit = 15 * time.Minute

// fillWorkspace streams a copied workspace into a machine in which nothing of
// the agent's ever ran.
func (d *Driver) fillWorkspace(ctx context.Context, s *spec.Spec) error {
	w := s.Fixed.Workspace
	if w.Mode != spec.WorkspaceCopy {
		return nil
	}
	root, err := openWorkspace(w)
	if err != nil {
		return err
	}
	defer root.Close()
	logf(d.opts.Log, "%s: copying %s", s.ID, w.Path)
	parents := newArchive()
	if err := parents.owned(w.GuestPath); err != nil {
		return err
	}
	if err := d.placeAsRoot(ctx, s.ID, parents); err != nil {
		return err
	}
	r, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		_, err := tree.Pack(root, ".", pw, tree.Options{
			As: strings.TrimPrefix(w.GuestPath, "/"), Bottle: true, UID: spec.UID, GID: spec.GID,
		})
		_ = pw.CloseWithError(err)
		packed <- err
	}()
	err = d.asRoot(ctx, s.ID, "copy "+w.Path, rootStep{argv: unpackAsRoot, stdin: r, limit: fillLimit})
	_ = r.CloseWithError(io.ErrClosedPipe)
	if failed := <-packed; failed != nil && ctx.Err() == nil && !errors.Is(failed, io.ErrClosedPipe) {
		return diag.Errorf("workspace %s: %v", w.Path, failed).WithHint("remove these from it, or work on a copy without them")
	}
	return err
}
