package docker

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// resolved is what is known of an image without pulling or building.
type resolved struct {
	label string // what the label bb.image says; "" means unknown
	use   string // what a container is created from
	id    string // "" while the engine does not have it
	// tagged is the image that the tag names now, be it bb's build or not.
	tagged string
	job    buildJob
	needs  string // the base image that is missing, if one is
}

// resolve computes the name of the image that s should have.
func (d *Driver) resolve(ctx context.Context, s *spec.Spec) (resolved, error) {
	switch {
	case s.Image.Ref != "":
		id, err := d.imageID(ctx, s.Image.Ref)
		if err != nil || id == "" {
			return resolved{}, err
		}
		// A tag may move: the id is part of what is compared, and is what runs.
		short := strings.TrimPrefix(id, "sha256:")
		return resolved{label: s.Image.Ref + "@" + short[:min(12, len(short))], use: id, id: id}, nil
	case s.Image.Recipe != "":
		return d.resolveBuild(ctx, s, buildJob{dockerfile: s.Image.Recipe}, "")
	case s.Image.Dockerfile != "":
		return d.resolveDockerfile(ctx, s)
	}
	return resolved{}, diag.Errorf("%s has no image", s.ID)
}

func (d *Driver) resolveDockerfile(ctx context.Context, s *spec.Spec) (resolved, error) {
	text, err := os.ReadFile(s.Image.Dockerfile)
	if err != nil {
		return resolved{}, diag.Errorf("dockerfile of %s: %s", s.Image.Name, err).
			WithHint("agent_provider.dockerfile names a file on this machine")
	}
	if !readsContext(string(text)) {
		return d.resolveBuild(ctx, s, buildJob{dockerfile: string(text)}, "")
	}
	c, err := openContext(s.Image.Dockerfile, d.opts.Private)
	if err != nil {
		return resolved{}, diag.Errorf("build context of %s: %s", s.Image.Name, err)
	}
	digest, err := c.digest()
	if err != nil {
		return resolved{}, d.wrap(err, "build context of %s", s.Image.Name)
	}
	return d.resolveBuild(ctx, s, buildJob{dockerfile: string(text), name: c.dockerfile, files: c.write}, digest)
}

// resolveBuild tags by every input but the build's roots: those are the
// network's, not the image's.
func (d *Driver) resolveBuild(ctx context.Context, s *spec.Spec, j buildJob, context string) (resolved, error) {
	j.base = s.Image.Base
	if j.base == "" {
		j.base = d.opts.BaseImage
	}
	inputs := []string{j.dockerfile, j.base, context}
	for _, from := range fromImages(j.dockerfile, j.base) {
		id, err := d.imageID(ctx, from)
		if err != nil {
			return resolved{}, err
		}
		if id == "" {
			return resolved{needs: from}, nil
		}
		inputs = append(inputs, from, id)
	}
	j.tag = "bb-" + s.Image.Name + ":" + digest12(inputs...)
	id, tagged, err := d.builtID(ctx, j.tag)
	return resolved{label: j.tag, use: j.tag, id: id, tagged: tagged, job: j}, err
}

// EnsureImage builds or pulls the image unless it is there. Bottles that share
// an image share the work.
func (d *Driver) EnsureImage(ctx context.Context, s *spec.Spec, via *backends.BuildProxy) error {
	if s.Image.Ref != "" {
		_, err := d.ensureImageID(ctx, s.Image.Ref)
		return err
	}
	for {
		r, err := d.resolve(ctx, s)
		if err != nil {
			return err
		}
		if r.needs == "" {
			return d.ensureBuilt(ctx, r, via)
		}
		if _, err := d.ensureImageID(ctx, r.needs); err != nil {
			return err
		}
	}
}

func (d *Driver) ensureBuilt(ctx context.Context, r resolved, via *backends.BuildProxy) error {
	if r.id != "" {
		return nil
	}
	unlock, err := d.builds.lock(ctx, r.job.tag)
	if err != nil {
		return err
	}
	defer unlock()
	if id, _, err := d.builtID(ctx, r.job.tag); err != nil || id != "" {
		return err
	}
	return d.build(ctx, r.job, via)
}

// builtID returns the image that bb, of any owner, built for a tag, "" without
// one; and what the tag names now. A tag that somebody moved is not believed:
// the build is done again, from its cache.
func (d *Driver) builtID(ctx context.Context, tag string) (built, tagged string, err error) {
	i, err := d.engine.ImageInspect(ctx, tag)
	if errdefs.IsNotFound(err) {
		return "", "", nil
	}
	if err != nil {
		return "", "", d.wrap(err, "image %s", tag)
	}
	if i.Config == nil || !isShared(i.Config.Labels, spec.RoleImage) || i.Config.Labels[spec.LabelImage] != tag {
		return "", i.ID, nil
	}
	return i.ID, i.ID, nil
}

// lookAt is Observe's view of an image. What is wrong with one leaves it
// unknown: EnsureImage says so, and other bottles are none the worse.
func (d *Driver) lookAt(ctx context.Context, s *spec.Spec) (resolved, error) {
	r, err := d.resolve(ctx, s)
	var wrong diag.Diagnostic
	if errors.As(err, &wrong) && !engineGone(err) {
		return resolved{}, nil
	}
	return r, err
}

func (r resolved) state() plan.ImageState {
	return plan.ImageState{Ref: r.label, Present: r.id != ""}
}
