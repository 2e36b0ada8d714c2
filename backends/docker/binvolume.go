package docker

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"github.com/bot-bottle/bb/engine/spec"
)

// The binary's volume is shared by all bottles of the engine, of every owner:
// its name says what is in it. A second, empty volume is made when it is
// full, so that a fill that was cut off is never mistaken for a whole one.
func binVolume(b binary) string { return "bb-bin-" + b.digest }
func binMarker(b binary) string { return binVolume(b) + fullSuffix }
func binFiller(b binary) string { return binVolume(b) + fillSuffix }

// ensureBinary makes and fills the volume, through a container that never
// starts: the engine may be on another machine.
func (d *Driver) ensureBinary(ctx context.Context, b binary) error {
	name := binVolume(b)
	full, err := d.binaryReady(ctx, b)
	if err != nil || full {
		return err
	}
	if err := d.dropMarker(ctx, b); err != nil {
		return err
	}
	if err := d.sharedVolume(ctx, name); err != nil {
		return err
	}
	filler, err := d.claimFiller(ctx, b)
	if err != nil || filler == "" {
		return err // "": another process has filled it meanwhile
	}
	err = d.fill(ctx, filler)
	if err == nil {
		err = d.sharedVolume(ctx, binMarker(b))
	}
	removed := d.engine.ContainerRemove(context.WithoutCancel(ctx), filler, container.RemoveOptions{Force: true})
	return errors.Join(d.wrap(err, "fill volume %s", name), d.wrap(removed, "container %s", binFiller(b)))
}

func (d *Driver) binaryReady(ctx context.Context, b binary) (bool, error) {
	var volume, marker bool
	err := d.together(
		func() (err error) { volume, err = d.binaryVolume(ctx, binVolume(b)); return err },
		func() (err error) { marker, err = d.binaryVolume(ctx, binMarker(b)); return err },
	)
	return volume && marker && err == nil, err
}

func (d *Driver) binaryVolume(ctx context.Context, name string) (bool, error) {
	v, err := d.engine.VolumeInspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, d.wrap(err, "volume %s", name)
	case !isShared(v.Labels, spec.RoleBinary):
		return false, foreign("volume", name)
	}
	return true, nil
}

// dropMarker removes the marker of a volume that is gone: it would call the
// next one full before it is.
func (d *Driver) dropMarker(ctx context.Context, b binary) error {
	v, err := d.engine.VolumeInspect(ctx, binMarker(b))
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err == nil && !isShared(v.Labels, spec.RoleBinary) {
		return foreign("volume", binMarker(b))
	}
	if err == nil {
		err = d.engine.VolumeRemove(ctx, binMarker(b), false)
	}
	if errdefs.IsNotFound(err) {
		err = nil
	}
	return d.wrap(err, "volume %s", binMarker(b))
}

// sharedVolume creates the volume or takes the one that is there.
func (d *Driver) sharedVolume(ctx context.Context, name string) error {
	v, err := d.engine.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: d.shared(spec.RoleBinary)})
	if err != nil {
		return d.wrap(err, "create volume %s", name)
	}
	if !isShared(v.Labels, spec.RoleBinary) {
		return foreign("volume", name)
	}
	return nil
}

// claimFiller creates the container that fills.
func (d *Driver) claimFiller(ctx context.Context, b binary) (id string, err error) {
	return d.claim(ctx, binFiller(b), spec.RoleBinary, []mount.Mount{{
		Type: mount.TypeVolume, Source: binVolume(b), Target: agentBinDir,
		VolumeOptions: &mount.VolumeOptions{NoCopy: true},
	}}, func() (bool, error) { return d.binaryReady(ctx, b) })
}

func (d *Driver) fill(ctx context.Context, filler string) error {
	f, err := os.Open(d.opts.Binary)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() {
		t := tar.NewWriter(w)
		err := t.WriteHeader(&tar.Header{Name: "bb", Mode: 0o755, Size: info.Size(), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = io.Copy(t, f)
		}
		w.CloseWithError(errors.Join(err, t.Close()))
	}()
	err = d.engine.CopyToContainer(ctx, filler, agentBinDir, r, container.CopyToContainerOptions{})
	r.CloseWithError(io.ErrClosedPipe) // ends the writer, whatever happened
	return err
}
