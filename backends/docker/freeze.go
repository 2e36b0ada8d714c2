package docker

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Freeze commits the agent under a name that nothing has yet, without what bb
// placed in it: a bottle made of the image is another agent's. The bottle itself
// is not touched: it goes from a container of the commit, which is committed
// again. The secret environment is in no layer: it lies in memory.
func (d *Driver) Freeze(ctx context.Context, id spec.ID, name string) (made string, err error) {
	c, err := d.find(ctx, id, spec.RoleAgent)
	if err != nil {
		return "", err
	}
	if c == nil {
		return "", diag.Errorf("bottle %s does not exist", id).WithHint("bb ps lists those that do")
	}
	if taken, err := d.imageID(ctx, name); err != nil || taken != "" {
		if err == nil {
			err = diag.Errorf("an image %s exists already", name).WithHint("choose another name: bb commit %s NAME:TAG", id)
		}
		return "", err
	}
	base, err := d.engine.ImageInspect(ctx, c.Image)
	if err != nil && !errdefs.IsNotFound(err) {
		return "", d.wrap(err, "image of %s", id)
	}
	config := formerConfig(c.Config, base.Config)
	whole, err := d.engine.ContainerCommit(ctx, c.ID, container.CommitOptions{Config: config, Pause: true, Comment: "bottle " + id.String()})
	if err != nil {
		return "", d.wrap(err, "freeze %s", id)
	}
	after := context.WithoutCancel(ctx)
	defer func() {
		if err != nil { // else it is a layer of the image
			_, removed := d.engine.ImageRemove(after, whole.ID, image.RemoveOptions{PruneChildren: true})
			if removed != nil && !errdefs.IsNotFound(removed) {
				err = errors.Join(err, d.wrap(removed, "remove what was begun of %s", name))
			}
		}
	}()
	scratch, err := d.unfurnish(ctx, id, whole.ID)
	if scratch != "" {
		defer func() { err = errors.Join(err, d.remove(after, scratch, "what cleans "+name)) }()
	}
	if err != nil {
		return "", err
	}
	final, err := d.engine.ContainerCommit(ctx, scratch, container.CommitOptions{
		Reference: name, Config: config, Comment: "bottle " + id.String(),
	})
	return final.ID, d.wrap(err, "freeze %s as %s", id, name)
}

// formerConfig is what the bottle's image was, for the image that is made of the
// bottle.
func formerConfig(bottle *container.Config, was *dockerspec.DockerOCIImageConfig) *container.Config {
	if was == nil {
		was = &dockerspec.DockerOCIImageConfig{}
	}
	config := &container.Config{
		Entrypoint: was.Entrypoint, Cmd: was.Cmd, User: cmp.Or(was.User, "root"), WorkingDir: was.WorkingDir,
		Healthcheck: was.Healthcheck, Env: formerEnv(bottle.Env, was.Env), Labels: formerLabels(bottle.Labels),
	}
	if config.Entrypoint == nil {
		config.Entrypoint = []string{} // nil would keep bb's
	}
	return config
}

// formerEnv has what the image had, and empties what the bottle added: an engine
// adds what a commit leaves out.
func formerEnv(bottle, image []string) []string {
	had := map[string]bool{}
	for _, e := range image {
		name, _, _ := strings.Cut(e, "=")
		had[name] = true
	}
	env := append([]string{}, image...)
	for _, e := range bottle {
		if name, _, _ := strings.Cut(e, "="); !had[name] {
			env = append(env, name+"=")
		}
	}
	return env
}

// formerLabels empties bb's: an image is no bottle.
func formerLabels(labels map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range labels {
		if strings.HasPrefix(key, "bb.") {
			value = ""
		}
		out[key] = value
	}
	return out
}
