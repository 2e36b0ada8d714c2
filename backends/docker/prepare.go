package docker

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
)

const sidecarRepository = "bb-sidecar"

// sidecarRecipe builds the sidecar's image; its text is part of the tag.
//
//go:embed sidecar.Dockerfile
var sidecarRecipe string

// Prepare makes what all bottles share. The caller holds the user's lock.
func (d *Driver) Prepare(ctx context.Context, via *backends.BuildProxy) error {
	b, err := d.binaryID()
	if err != nil {
		return err
	}
	base, err := d.ensureImageID(ctx, d.opts.BaseImage)
	if err != nil {
		return err
	}
	return d.together(
		func() error { return d.ensureBinary(ctx, b) },
		func() error { return d.ensureSidecarImage(ctx, base, b, via) },
		func() error { return d.ensureNetwork(ctx) },
	)
}

func (d *Driver) ensureSidecarImage(ctx context.Context, base string, b binary, via *backends.BuildProxy) error {
	tag := sidecarTag(base, b)
	unlock, err := d.builds.lock(ctx, tag)
	if err != nil {
		return err
	}
	defer unlock()
	if id, _, err := d.builtID(ctx, tag); err != nil || id != "" {
		return err
	}
	f, err := os.Open(d.opts.Binary)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.build(ctx, buildJob{
		tag: tag, dockerfile: sidecarRecipe, base: d.opts.BaseImage,
		files: func(t *tar.Writer) error { return addFile(t, "bb", 0o755, f) },
	}, via)
}

func sidecarTag(base string, b binary) string {
	return sidecarRepository + ":" + digest12(sidecarRecipe, base, b.digest)
}

// sidecarImage is the tag that sidecars should have; "" while it cannot be
// known without pulling.
func (d *Driver) sidecarImage(ctx context.Context) (string, error) {
	if d.opts.Binary == "" {
		return "", nil
	}
	b, err := d.binaryID()
	if err != nil {
		return "", err
	}
	base, err := d.imageID(ctx, d.opts.BaseImage)
	if err != nil || base == "" {
		return "", err
	}
	return sidecarTag(base, b), nil
}

// resolveSidecar is that tag, and what the engine has under it.
func (d *Driver) resolveSidecar(ctx context.Context) (resolved, error) {
	tag, err := d.sidecarImage(ctx)
	if err != nil || tag == "" {
		return resolved{}, err
	}
	id, tagged, err := d.builtID(ctx, tag)
	return resolved{label: tag, use: tag, id: id, tagged: tagged}, err
}

// imageID returns the id of a local image, or "".
func (d *Driver) imageID(ctx context.Context, ref string) (string, error) {
	i, err := d.engine.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	return i.ID, d.wrap(err, "image %s", ref)
}

// ensureImageID pulls the image unless it is there.
func (d *Driver) ensureImageID(ctx context.Context, ref string) (string, error) {
	unlock, err := d.builds.lock(ctx, ref)
	if err != nil {
		return "", err
	}
	defer unlock()
	id, err := d.imageID(ctx, ref)
	if err != nil || id != "" {
		return id, err
	}
	logf(d.opts.Log, "pulling %s", ref)
	r, err := d.engine.ImagePull(ctx, ref, image.PullOptions{})
	if err == nil {
		defer r.Close()
		err = readStream(r, io.Discard)
	}
	if err == nil {
		if id, err = d.imageID(ctx, ref); err == nil && id == "" {
			err = fmt.Errorf("the engine pulled it and does not have it")
		}
	}
	switch {
	case err == nil:
		return id, nil
	case ctx.Err() != nil || engineGone(err):
		return "", d.wrap(err, "pull image %s", ref)
	case ref == d.opts.BaseImage:
		return "", diag.Errorf("base image %s is not on the engine and cannot be pulled: %s", ref, tidy(err.Error())).
			WithHint("'make base-image' makes one from Debian packages; BB_BASE_IMAGE names another")
	}
	return "", diag.Errorf("image %s is not on the engine and cannot be pulled: %s", ref, tidy(err.Error())).
		WithHint("build or load it under this name, or name another")
}

// digest12 names a set of inputs.
func digest12(inputs ...string) string {
	sum := sha256.New()
	for _, s := range inputs {
		fmt.Fprintf(sum, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}
