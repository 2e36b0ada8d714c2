package docker

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/parallel"
	"github.com/bot-bottle/bb/engine/spec"
)

// RemoveAgent removes the agent if it is ours; gone is fine.
func (d *Driver) RemoveAgent(ctx context.Context, id spec.ID) error {
	return d.removeRole(ctx, id, spec.RoleAgent)
}

// RemoveSidecar removes the sidecar; its volumes stay.
func (d *Driver) RemoveSidecar(ctx context.Context, id spec.ID) error {
	return d.removeRole(ctx, id, spec.RoleSidecar)
}

func (d *Driver) removeRole(ctx context.Context, id spec.ID, role string) error {
	c, err := d.find(ctx, id, role)
	if err != nil || c == nil {
		return err
	}
	return d.remove(ctx, c.ID, trimName(c.Name))
}

// remove kills and removes a container, with the nameless volumes that its
// image asked for, and waits until it is gone.
func (d *Driver) remove(ctx context.Context, id, name string) error {
	for {
		err := d.engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil, errdefs.IsNotFound(err):
			return nil
		case !errdefs.IsConflict(err): // else somebody else is removing it
			return d.wrap(err, "remove %s", name)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return d.wrap(err, "remove %s", name)
		}
	}
}

// RemoveVolumes removes what is left of an instance.
func (d *Driver) RemoveVolumes(ctx context.Context, id spec.ID) error {
	return errors.Join(parallel.Run(d.at.width(2),
		func() error { return d.removeVolume(ctx, id, spec.RoleDoor) },
		func() error { return d.removeVolume(ctx, id, spec.RoleCA) })...)
}

func (d *Driver) removeVolume(ctx context.Context, id spec.ID, role string) error {
	name := volumeName(id, role)
	exists, err := d.findVolume(ctx, id, role)
	if err != nil || !exists {
		return err
	}
	err = d.engine.VolumeRemove(ctx, name, false)
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case errdefs.IsConflict(err):
		user := d.userOf(ctx, name)
		return diag.Errorf("volume %s is used by %s", name, user).
			WithHint("bb did not make that container, or somebody renamed it: 'docker rm -f %s', then the same command again", user)
	}
	return d.wrap(err, "remove volume %s", name)
}

// userOf names the container that has a volume, for people.
func (d *Driver) userOf(ctx context.Context, volume string) string {
	list, err := d.engine.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("volume", volume)),
	})
	if err != nil || len(list) == 0 || len(list[0].Names) == 0 {
		return "a container"
	}
	return trimName(list[0].Names[0])
}
