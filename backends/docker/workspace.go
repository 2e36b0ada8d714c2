package docker

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress/door/tree"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

var _ backends.Mounter = (*Driver)(nil)

// CanMount says why a directory of this machine cannot be lent to a bottle:
// an engine somewhere else would take a directory of its own.
func (d *Driver) CanMount() error {
	if !d.local() {
		return diag.Errorf("the docker engine at %s cannot mount a directory of this machine", d.at).
			WithHint("use workspace: {mode: copy}, and bb cp for what the agent makes of it")
	}
	return nil
}

// mountWorkspace is the one host path that a bottle may have: its manifest
// asks for it, and the plan says so.
func (d *Driver) mountWorkspace(s *spec.Spec) ([]mount.Mount, error) {
	w := s.Fixed.Workspace
	if w.Mode != spec.WorkspaceMount {
		return nil, nil
	}
	if err := d.CanMount(); err != nil {
		return nil, err
	}
	root, err := guest.OpenWorkspace(w)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return []mount.Mount{{
		Type: mount.TypeBind, Source: w.Path, Target: w.GuestPath,
		// What is mounted on either side later stays there.
		BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate},
	}}, nil
}

// fillWorkspace streams a copied workspace into an agent that never ran: its
// files are the image's only, so that nobody can lead the engine elsewhere. One
// that ran has its agent's work in it and is left alone. A copy that was cut
// short is made again, since the agent then still never ran.
func (d *Driver) fillWorkspace(ctx context.Context, s *spec.Spec, agent *container.InspectResponse) error {
	w := s.Fixed.Workspace
	if w.Mode != spec.WorkspaceCopy || agent.State.Status != "created" {
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
	if err := d.upload(ctx, agent.ID, s.ID.Name(), parents); err != nil {
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
	err = d.engine.CopyToContainer(ctx, agent.ID, "/", r, container.CopyToContainerOptions{AllowOverwriteDirWithFile: true})
	_ = r.CloseWithError(io.ErrClosedPipe)
	if failed := <-packed; failed != nil && ctx.Err() == nil && !errors.Is(failed, io.ErrClosedPipe) {
		return diag.Errorf("workspace %s: %v", w.Path, failed).WithHint("remove these from it, or work on a copy without them")
	}
	return d.wrap(err, "copy %s into %s", w.Path, s.ID.Name())
}
