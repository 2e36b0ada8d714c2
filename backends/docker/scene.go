package docker

import (
	"context"
	"errors"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/bot-bottle/bb/engine/parallel"
	"github.com/bot-bottle/bb/engine/spec"
)

// newScene takes what was listed. A list of volumes that the engine calls
// incomplete is not known.
func newScene(networks []network.Summary, volumes volume.ListResponse, images ...resolved) scene {
	s := scene{images: map[string]tagged{}, builds: map[string]string{}}
	if len(networks) > 0 {
		s.networks = make(map[string]string, len(networks))
	}
	for _, n := range networks {
		s.networks[n.ID] = n.Name
	}
	if len(volumes.Warnings) == 0 {
		s.volumes = make(map[string]bool, len(volumes.Volumes))
		for _, v := range volumes.Volumes {
			s.volumes[v.Name] = true
		}
	}
	for _, i := range images {
		if i.tagged != "" {
			s.images[i.label] = tagged{id: i.tagged, ours: i.id == i.tagged}
		}
	}
	return s
}

// lookAtBuilds asks about the images that tags do not name any more: few, if
// any, and each once.
func (d *Driver) lookAtBuilds(ctx context.Context, s scene, containers ...container.Summary) error {
	for _, x := range containers {
		if _, seen := s.builds[x.ImageID]; seen || x.Labels[spec.LabelOwner] != d.opts.Owner || !s.unnamed(x) {
			continue
		}
		i, err := d.engine.ImageInspect(ctx, x.ImageID)
		switch {
		case errdefs.IsNotFound(err):
			continue // nothing is known of it
		case err != nil:
			return d.wrap(err, "image %s", shortID(x.ImageID))
		}
		s.builds[x.ImageID] = ""
		if i.Config != nil && isShared(i.Config.Labels, spec.RoleImage) {
			s.builds[x.ImageID] = i.Config.Labels[spec.LabelImage]
		}
	}
	return nil
}

// look takes the scene for one inspected container, and lists it.
func (d *Driver) look(ctx context.Context, c *container.InspectResponse, image resolved) (scene, container.Summary, error) {
	var networks []network.Summary
	var volumes volume.ListResponse
	err := errors.Join(parallel.Run(2,
		func() (err error) {
			networks, err = d.engine.NetworkList(ctx, network.ListOptions{})
			return d.wrap(err, "list networks")
		},
		func() (err error) {
			volumes, err = d.engine.VolumeList(ctx, volume.ListOptions{})
			return d.wrap(err, "list volumes")
		})...)
	if err != nil {
		return scene{}, container.Summary{}, err
	}
	s, x := newScene(networks, volumes, image), summary(c, image)
	return s, x, d.lookAtBuilds(ctx, s, x)
}

// summary is an inspected container as the engine lists it, so that both are
// judged alike.
func summary(c *container.InspectResponse, image resolved) container.Summary {
	x := container.Summary{
		ID: c.ID, ImageID: c.Image, Labels: c.Config.Labels, State: c.State.Status, Mounts: c.Mounts,
		Command: strings.Join(append([]string{c.Path}, c.Args...), " "),
		Image:   c.Config.Image,
	}
	// Inspect tells the name that it was made of, whatever that names now.
	if image.tagged != "" && x.Image == image.label && image.tagged != x.ImageID {
		x.Image = x.ImageID
	}
	x.HostConfig.NetworkMode = string(c.HostConfig.NetworkMode)
	if c.NetworkSettings != nil {
		x.NetworkSettings = &container.NetworkSettingsSummary{Networks: c.NetworkSettings.Networks}
	}
	return x
}
