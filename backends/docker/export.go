package docker

import (
	"context"
	"io"

	"github.com/bot-bottle/bb/engine/spec"
)

// ResolveImage looks at the image of s without making it: what the label
// bb.image says of it, "" while that is not known, and its id, "" while the
// engine does not have it. What is wrong with it leaves it unknown: EnsureImage
// says so.
func (d *Driver) ResolveImage(ctx context.Context, s *spec.Spec) (label, id string, err error) {
	r, err := d.lookAt(ctx, s)
	return r.label, r.id, err
}

// SaveImage writes an image, as `docker save` does.
func (d *Driver) SaveImage(ctx context.Context, id string, w io.Writer) error {
	r, err := d.engine.ImageSave(ctx, []string{id})
	if err != nil {
		return d.wrap(err, "save image %s", shortID(id))
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return d.wrap(err, "save image %s", shortID(id))
}
