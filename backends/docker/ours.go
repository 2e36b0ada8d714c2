package docker

import (
	"context"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// find returns the container of a role of id, nil when there is none. One
// that is not ours is an error: nothing is done to it, and nothing is told it.
func (d *Driver) find(ctx context.Context, id spec.ID, role string) (*container.InspectResponse, error) {
	name := id.Name()
	if role == spec.RoleSidecar {
		name = id.Sidecar()
	}
	c, err := d.engine.ContainerInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, d.wrap(err, "container %s", name)
	}
	if trimName(c.Name) != name {
		return nil, nil // the engine also answers to ids and their beginnings
	}
	got, gotRole, ok := spec.ParseIdentity(d.opts.Owner, name, c.Config.Labels)
	if !ok || got != id || gotRole != role {
		return nil, foreign("container", name)
	}
	return &c, nil
}

// running returns the container of a role that runs, or says what to do.
func (d *Driver) running(ctx context.Context, id spec.ID, role string) (*container.InspectResponse, error) {
	c, err := d.find(ctx, id, role)
	if err != nil {
		return nil, err
	}
	what := "bottle " + id.String()
	if role == spec.RoleSidecar {
		what = "the sidecar of " + id.String()
	}
	if c == nil {
		return nil, diag.Errorf("%s does not exist", what).WithHint("'bb apply %s' brings it up", id.Agent)
	}
	if !c.State.Running || c.State.Restarting || c.State.Paused {
		hint := "'bb apply " + id.Agent + "' brings it up"
		if role == spec.RoleAgent {
			hint = backends.BringsBack(id)
		}
		return nil, diag.Errorf("%s is not running but %s", what, c.State.Status).WithHint("%s", hint)
	}
	return c, nil
}

// findVolume reports whether our volume of a role exists.
func (d *Driver) findVolume(ctx context.Context, id spec.ID, role string) (bool, error) {
	name := volumeName(id, role)
	v, err := d.engine.VolumeInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, d.wrap(err, "volume %s", name)
	}
	return true, d.judgeVolume(v, id, role)
}

func (d *Driver) ensureVolume(ctx context.Context, id spec.ID, role string) error {
	name := volumeName(id, role)
	// The engine answers with the volume of this name that is there already.
	v, err := d.engine.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: d.identity(id, role)})
	if err != nil {
		return d.wrap(err, "create volume %s", name)
	}
	if len(v.Labels) > 0 {
		return d.judgeVolume(v, id, role)
	}
	return d.relabel(ctx, id, role)
}

// relabel looks again at a volume that answers without labels. An engine that
// was stopped while it removed one keeps the labels in its list, and has
// nothing behind them: then it is ours, empty, and made anew.
func (d *Driver) relabel(ctx context.Context, id spec.ID, role string) error {
	name := volumeName(id, role)
	list, err := d.engine.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("name", name))})
	if err != nil {
		return d.wrap(err, "volume %s", name)
	}
	i := slices.IndexFunc(list.Volumes, func(v *volume.Volume) bool { return v.Name == name })
	if i < 0 {
		return foreign("volume", name)
	}
	if err := d.judgeVolume(*list.Volumes[i], id, role); err != nil {
		return err
	}
	if err := d.engine.VolumeRemove(ctx, name, false); err != nil {
		return d.wrap(err, "remove volume %s", name)
	}
	v, err := d.engine.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: d.identity(id, role)})
	if err != nil {
		return d.wrap(err, "create volume %s", name)
	}
	return d.judgeVolume(v, id, role)
}

func (d *Driver) judgeVolume(v volume.Volume, id spec.ID, role string) error {
	got, gotRole, ok := spec.ParseIdentity(d.opts.Owner, v.Name, v.Labels)
	if !ok || got != id || gotRole != role {
		return foreign("volume", volumeName(id, role))
	}
	return nil
}

func volumeName(id spec.ID, role string) string {
	if role == spec.RoleCA {
		return id.CAVolume()
	}
	return id.DoorVolume()
}
