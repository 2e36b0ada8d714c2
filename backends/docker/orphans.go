package docker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/parallel"
)

// Kinds of orphans.
const (
	kindContainer = "container"
	kindVolume    = "volume"
	kindImage     = "image"
	kindNetwork   = "network"
)

// Orphans lists what this owner's bb made for all bottles and none uses. The
// order is the one to remove them in.
func (d *Driver) Orphans(ctx context.Context) ([]backends.Orphan, error) {
	return d.orphansAt(ctx, time.Now())
}

func (d *Driver) orphansAt(ctx context.Context, now time.Time) ([]backends.Orphan, error) {
	s, err := d.stock(ctx, now)
	if err != nil {
		return nil, err
	}
	return append(s.orphans(), d.danglingImages(ctx, s)...), nil
}

// stock lists everything that orphans are found among.
func (d *Driver) stock(ctx context.Context, now time.Time) (stock, error) {
	s := stock{owner: d.opts.Owner, now: now}
	if b, err := d.binaryID(); err == nil { // one without a binary has no current volume
		s.volume = binVolume(b)
	}
	err := errors.Join(parallel.Run(observers,
		func() (err error) {
			s.containers, err = d.engine.ContainerList(ctx, container.ListOptions{All: true})
			return d.wrap(err, "list containers")
		},
		func() error {
			list, err := d.engine.VolumeList(ctx, volume.ListOptions{})
			s.volumes = list.Volumes
			return d.wrap(err, "list volumes")
		},
		func() (err error) {
			s.networks, err = d.engine.NetworkList(ctx, network.ListOptions{})
			return d.wrap(err, "list networks")
		},
		func() (err error) {
			s.images, err = d.engine.ImageList(ctx, image.ListOptions{})
			return d.wrap(err, "list images")
		},
		func() (err error) {
			s.sidecar, err = d.sidecarImage(ctx)
			return err
		},
	)...)
	return s, err
}

// danglingImages are builds of ours that lost their tag. An image that
// somebody made from one of ours carries its labels along: only one whose
// last step wrote them is bb's.
func (d *Driver) danglingImages(ctx context.Context, s stock) []backends.Orphan {
	var out []backends.Orphan
	for _, i := range s.dangling() {
		steps, err := d.engine.ImageHistory(ctx, i.ID)
		if err != nil || len(steps) == 0 || !strings.Contains(steps[0].CreatedBy, lastStep) {
			continue // gone, or not proved to be ours
		}
		out = append(out, imageOrphan(shortID(i.ID), i, "replaced by a newer build"))
	}
	slices.SortFunc(out, func(a, b backends.Orphan) int { return cmp.Compare(a.Ref, b.Ref) })
	return out
}

// RemoveOrphan looks again, and removes what is still an orphan. The caller
// holds the user's lock, so that no apply is about to use it. Gone is success.
func (d *Driver) RemoveOrphan(ctx context.Context, o backends.Orphan) error {
	return d.removeOrphanAt(ctx, o, time.Now())
}

func (d *Driver) removeOrphanAt(ctx context.Context, o backends.Orphan, now time.Time) error {
	s, err := d.stock(ctx, now)
	if err != nil {
		return err
	}
	left := append(s.orphans(), d.danglingImages(ctx, s)...)
	same := func(x backends.Orphan) bool { return x.Kind == o.Kind && x.Name == o.Name && x.Ref == o.Ref }
	if !slices.ContainsFunc(left, same) {
		if !s.has(o) {
			return nil
		}
		return diag.Errorf("%s %s is in use, or not what it was", o.Kind, o.Name).
			WithHint("'bb cleanup' lists what is left")
	}
	switch o.Kind {
	case kindContainer:
		err = d.engine.ContainerRemove(ctx, o.Ref, container.RemoveOptions{RemoveVolumes: true, Force: freezerNames.MatchString(o.Name)})
	case kindVolume:
		err = d.removeBinary(ctx, o.Name, s)
	case kindImage:
		ref := o.Name
		if ref == shortID(o.Ref) {
			ref = o.Ref
		}
		_, err = d.engine.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	case kindNetwork:
		err = d.engine.NetworkRemove(ctx, o.Ref)
	}
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case errdefs.IsConflict(err), errdefs.IsPermissionDenied(err): // a network with endpoints is "forbidden"
		return diag.Errorf("%s %s is in use: %s", o.Kind, o.Name, tidy(err.Error())).
			WithHint("something has come to use it: leave it")
	}
	return d.wrap(err, "remove %s %s", o.Kind, o.Name)
}

// removeBinary removes the marker first: a volume without one is filled again,
// and a marker without its volume would call the next one full.
func (d *Driver) removeBinary(ctx context.Context, name string, s stock) error {
	if marker := name + fullSuffix; !strings.HasSuffix(name, fullSuffix) && s.volumeOf(marker) != nil {
		if err := d.engine.VolumeRemove(ctx, marker, false); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return d.engine.VolumeRemove(ctx, name, false)
}

func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}
