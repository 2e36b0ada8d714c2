package docker

import (
	"context"
	"io"
	"io/fs"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// stopSeconds is what a container gets to end after SIGTERM: longer than the
// first process gives to the others.
const stopSeconds = 10

// Stop ends the agent, then its sidecar; nothing of either is lost.
func (d *Driver) Stop(ctx context.Context, id spec.ID) error {
	for _, role := range []string{spec.RoleAgent, spec.RoleSidecar} {
		if err := d.stopRole(ctx, id, role); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) stopRole(ctx context.Context, id spec.ID, role string) error {
	c, err := d.find(ctx, id, role)
	if err != nil || c == nil || !c.State.Running {
		return err
	}
	if c.State.Paused { // it could not hear the signal
		if err := d.engine.ContainerUnpause(ctx, c.ID); err != nil && !errdefs.IsConflict(err) {
			return d.wrap(err, "unpause %s", trimName(c.Name))
		}
	}
	seconds := stopSeconds
	err = d.engine.ContainerStop(ctx, c.ID, container.StopOptions{Timeout: &seconds})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return d.wrap(err, "stop %s", trimName(c.Name))
}

// Archive copies a file or directory of an agent in which nothing runs: one
// that is paused holds still.
func (d *Driver) Archive(ctx context.Context, id spec.ID, path string, w io.Writer) error {
	c, err := d.find(ctx, id, spec.RoleAgent)
	if err != nil {
		return err
	}
	if c == nil {
		return fs.ErrNotExist
	}
	if c.State.Running && !c.State.Paused {
		return diag.Errorf("%s runs: nothing is copied under it", id).WithHint("the same command again asks the bottle itself")
	}
	r, _, err := d.engine.CopyFromContainer(ctx, c.ID, path)
	if errdefs.IsNotFound(err) {
		return fs.ErrNotExist
	}
	if err != nil {
		return d.wrap(err, "read %s of %s", path, id)
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}
