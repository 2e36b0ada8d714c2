package docker

import (
	"context"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/bot-bottle/bb/engine/spec"
)

// staleClaim is how old a claim is that nobody works under any more.
const staleClaim = 2 * time.Minute

// claim creates a container that never starts and whose name is the lock among
// all users of the engine, who share no file: the engine gives a name once.
// The caller removes it when its work is done. One that a killed bb left
// behind is removed. The id is "" when done says that another user of the
// engine did the work meanwhile.
func (d *Driver) claim(ctx context.Context, name, role string, mounts []mount.Mount, done func() (bool, error)) (id string, err error) {
	config := &container.Config{Image: d.opts.BaseImage, Cmd: []string{"true"}, Labels: d.shared(role)}
	host := &container.HostConfig{NetworkMode: "none", Mounts: mounts}
	for {
		created, err := d.engine.ContainerCreate(ctx, config, host, nil, nil, name)
		if err == nil {
			return created.ID, nil
		}
		if !errdefs.IsConflict(err) {
			return "", d.wrap(err, "create container %s", name)
		}
		if err := d.awaitClaim(ctx, name, role); err != nil {
			return "", err
		}
		if ok, err := done(); err != nil || ok {
			return "", err
		}
	}
}

// awaitClaim returns when the container is gone, or was stale and removed.
func (d *Driver) awaitClaim(ctx context.Context, name, role string) error {
	for {
		c, err := d.engine.ContainerInspect(ctx, name)
		switch {
		case errdefs.IsNotFound(err):
			return nil
		case err != nil:
			return d.wrap(err, "container %s", name)
		case !isShared(c.Config.Labels, role):
			return foreign("container", name)
		}
		created, err := time.Parse(time.RFC3339Nano, c.Created)
		// Of our own owner nobody else works: the caller holds the lock.
		ours := c.Config.Labels[spec.LabelOwner] == d.opts.Owner
		if ours || err != nil || time.Since(created) > staleClaim {
			err := d.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true})
			if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
				err = nil // being removed
			}
			if err != nil {
				return d.wrap(err, "container %s", name)
			}
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, t time.Duration) error {
	select {
	case <-time.After(t):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
