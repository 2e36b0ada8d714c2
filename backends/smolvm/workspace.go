package smolvm

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress/door/tree"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// fillLimit bounds the copy of a workspace.
const fillLimit = 15 * time.Minute

// fillWorkspace streams a copied workspace into a machine in which nothing of
// the agent's ever ran.
func (d *Driver) fillWorkspace(ctx context.Context, s *spec.Spec) error {
	w := s.Fixed.Workspace
	if w.Mode != spec.WorkspaceCopy {
		return nil
	}
	root, err := guest.OpenWorkspace(w)
	if err != nil {
		return err
	}
	defer root.Close()
	logf(d.opts.Log, "%s: copying %s", s.ID, w.Path)
	parents := guest.NewArchive()
	if err := parents.Owned(w.GuestPath); err != nil {
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
