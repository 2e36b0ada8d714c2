package docker

import (
	"context"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Freeze commits the agent under a name that nothing has yet. The secret
// environment is not in its layers: it lies in memory.
func (d *Driver) Freeze(ctx context.Context, id spec.ID, name string) (string, error) {
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
	config := &container.Config{}
	base, err := d.engine.ImageInspect(ctx, c.Image)
	if err != nil && !errdefs.IsNotFound(err) {
		return "", d.wrap(err, "image of %s", id)
	}
	from := base.Config
	if from == nil {
		from = &dockerspec.DockerOCIImageConfig{}
	}
	config.Entrypoint, config.Cmd, config.User, config.WorkingDir = from.Entrypoint, from.Cmd, from.User, from.WorkingDir
	if config.Entrypoint == nil {
		config.Entrypoint = []string{} // nil would keep bb's
	}
	if config.User == "" {
		config.User = "root"
	}
	config.Healthcheck = from.Healthcheck
	config.Env = formerEnv(c.Config.Env, from.Env)
	config.Labels = formerLabels(c.Config.Labels)
	made, err := d.engine.ContainerCommit(ctx, c.ID, container.CommitOptions{
		Reference: name, Config: config, Pause: true, Comment: "bottle " + id.String(),
	})
	return made.ID, d.wrap(err, "freeze %s as %s", id, name)
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
