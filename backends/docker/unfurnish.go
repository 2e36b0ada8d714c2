package docker

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress/door/session"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// unfurnish starts a container of an image that a bottle was made into, takes out
// of it what bb's own record says that bb placed, and returns it: stopped, and the
// caller's to remove, also beside an error. It is confined as an agent is, and
// nothing runs in it but that.
func (d *Driver) unfurnish(ctx context.Context, id spec.ID, image string) (scratch string, err error) {
	b, err := d.binaryID()
	if err != nil {
		return "", err
	}
	if ready, err := d.binaryReady(ctx, b); err != nil || !ready {
		if err == nil {
			err = d.ensureBinary(ctx, b)
		}
		if err != nil {
			return "", err
		}
	}
	host := d.confinedAgent()
	host.Mounts = []mount.Mount{volumeMount(binVolume(b), agentBinDir)}
	made, err := d.engine.ContainerCreate(ctx, &container.Config{
		Image: image, User: agentUser, WorkingDir: "/", Labels: d.shared(spec.RoleFreezer),
		Entrypoint: []string{spec.BinaryPath, "door", "init"}, Cmd: []string{},
		Env:         []string{"HOME=" + spec.Home, "USER=" + spec.User},
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}, host, nil, nil, freezer(image))
	if err != nil {
		return "", d.wrap(err, "clean the image of %s", id)
	}
	have, err := d.placedIn(ctx, id, made.ID)
	if err == nil {
		err = d.untrust(ctx, made.ID)
	}
	if err == nil {
		err = d.wrap(d.engine.ContainerStart(ctx, made.ID, container.StartOptions{}), "clean the image of %s", id)
	}
	if err == nil {
		err = d.takeOut(ctx, id, made.ID, have)
	}
	if err != nil {
		return made.ID, err
	}
	now := 1
	return made.ID, d.wrap(d.engine.ContainerStop(ctx, made.ID, container.StopOptions{Timeout: &now}), "clean the image of %s", id)
}

// takeOut removes the agent's files as the agent, and root's as root without any
// power.
func (d *Driver) takeOut(ctx context.Context, id spec.ID, scratch string, have map[string]guest.Placed) error {
	var paths, keys []string
	for _, p := range have {
		paths, keys = append(paths, p.Paths...), append(keys, p.Keys...)
	}
	slices.Sort(paths)
	slices.Sort(keys)
	run := func(what string, tolerated int, argv ...string) error {
		bounded, cancel := context.WithTimeout(ctx, d.patience)
		defer cancel()
		res, err := d.session(bounded, scratch, session.Options{Bare: true}, nil, command{
			argv: argv, env: []string{"PATH=" + stepPath, "HOME=" + spec.Home, "USER=" + spec.User},
		})
		if err == nil && res.code != 0 && res.code != tolerated {
			err = fmt.Errorf("exit code %d: %s", res.code, lastLines(res.stderr+res.stdout, 1))
		}
		return d.wrap(err, "%s in the image of %s", what, id)
	}
	if len(paths) > 0 {
		if err := run("take away what bb placed", 0, append([]string{"/bin/sh", "-c", takeAway, "sh"}, paths...)...); err != nil {
			return err
		}
	}
	for _, key := range keys {
		const none = 5 // it was not there
		if err := run("unset git "+key, none, "git", "config", "--global", "--unset-all", key); err != nil {
			return err
		}
	}
	res, err := d.command(ctx, scratch, command{
		argv: []string{"/bin/sh", "-c", `rm -f -- "$@"`, "sh", guest.RecordPath, spec.CAFile}, user: "0:0", env: []string{"PATH=" + stepPath},
	})
	if err == nil && res.code != 0 {
		err = diag.Errorf("exit code %d: %s", res.code, lastLines(res.stderr, 1))
	}
	return d.wrap(err, "take away bb's records in the image of %s", id)
}

// untrust takes the sidecar's certificate out of the bundle.
func (d *Driver) untrust(ctx context.Context, scratch string) error {
	bundle, err := d.readFile(ctx, scratch, spec.CABundle)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return d.wrap(err, "read %s", spec.CABundle)
	}
	theirs, had := guest.WithoutAuthority(bundle)
	if !had {
		return nil
	}
	a := guest.NewArchive()
	if err := a.Add(spec.File{Path: spec.CABundle, Mode: 0o644, Content: theirs, Root: true}); err != nil {
		return err
	}
	return d.upload(ctx, scratch, "the image", a)
}

const freezerPrefix = "bb-freeze-"

// freezer is the name of the container that cleans an image.
func freezer(image string) string { return freezerPrefix + shortID(image) }

var freezerNames = regexp.MustCompile(`^` + freezerPrefix + `[0-9a-f]{12}$`)

// staleFreezer is how old one is that no bb works with any more.
const staleFreezer = 10 * time.Minute
