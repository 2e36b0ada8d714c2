package docker

import (
	"cmp"
	"context"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Paths inside a sidecar.
const (
	sidecarBinary = "/usr/local/bin/bb"
	sidecarUser   = "65532:65532"
	doorDir       = "/run/bb/door"
	controlDir    = "/run/bb/ctl"
	controlSocket = controlDir + "/ctl.sock"
	caDir         = "/var/lib/bb/ca"
	caFile        = caDir + "/" + egress.CACertFile
)

// Bounds of a sidecar.
const (
	sidecarMemory = 1 << 30 // what git needs of it, it gives back
	sidecarCPUs   = 1
	sidecarPIDs   = 512
)

// CreateSidecar creates and starts the sidecar and waits for its first word.
// It passes nothing until it is configured.
func (d *Driver) CreateSidecar(ctx context.Context, s *spec.Spec) error {
	var built resolved
	var networkID string
	var old *container.InspectResponse
	if err := d.together(
		func() (err error) { built, err = d.gateImage(ctx, s); return err },
		func() (err error) { networkID, err = d.outerNetwork(ctx, s.Gate.Network); return err },
		func() (err error) { old, err = d.find(ctx, s.ID, spec.RoleSidecar); return err },
	); err != nil {
		return err
	}
	if built.id == "" {
		return diag.Errorf("the image of sidecars is not built").WithHint("'bb apply' builds it first")
	}
	image := built.use
	if old != nil {
		seen, listed, err := d.look(ctx, old, built)
		if err != nil {
			return err
		}
		if sidecarFits(old, image, s.Gate, networkID) && len(seen.sidecar(s.ID, listed)) == 0 {
			return d.startSidecar(ctx, old)
		}
		if err := d.remove(ctx, old.ID, s.ID.Sidecar()); err != nil {
			return err
		}
	}
	if err := d.together(
		func() error { return d.ensureVolume(ctx, s.ID, spec.RoleDoor) },
		func() error { return d.ensureVolume(ctx, s.ID, spec.RoleCA) },
	); err != nil {
		return err
	}
	labels := d.identity(s.ID, spec.RoleSidecar)
	labels[spec.LabelImage] = image
	labels[spec.LabelNetwork] = s.Gate.Network
	if s.Gate.Pipelock {
		labels[spec.LabelPipelock] = "1"
	}
	labels[spec.LabelSource] = s.Source.Label()
	name := s.ID.Sidecar()
	made, err := d.engine.ContainerCreate(ctx, sidecarConfig(s, image, labels),
		d.sidecarHost(s, networkID), &network.NetworkingConfig{}, nil, name)
	if err != nil {
		if errdefs.IsConflict(err) {
			return foreign("container", name)
		}
		return d.wrap(err, "create sidecar %s", name)
	}
	err = d.startSidecar(ctx, &container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{
		ID: made.ID, Name: name, State: &container.State{}, // as it was just created
	}})
	if err != nil {
		return cmp.Or(d.doorTaken(ctx, s), err)
	}
	return nil
}

// doorTaken says which running container keeps a door that is not its own: a
// sidecar that somebody renamed. It is foreign, and only they can end it.
func (d *Driver) doorTaken(ctx context.Context, s *spec.Spec) error {
	list, err := d.engine.ContainerList(ctx, container.ListOptions{
		Filters: filters.NewArgs(filters.Arg("volume", s.ID.DoorVolume())),
	})
	if err != nil {
		return nil // the error that it should explain is the one to tell
	}
	for _, x := range list {
		// Agents only read it.
		writes := slices.ContainsFunc(x.Mounts, func(m container.MountPoint) bool { return m.Name == s.ID.DoorVolume() && m.RW })
		if len(x.Names) == 0 || !writes || trimName(x.Names[0]) == s.ID.Sidecar() {
			continue
		}
		return diag.Errorf("container %s keeps the door of %s", trimName(x.Names[0]), s.ID).
			WithHint("somebody renamed it, or made it with bb's volume: rename it back, or remove it")
	}
	return nil
}

// sidecarFits reports whether the sidecar is the one that would be made now.
// Its labels say what it was made as; the engine says what it sits on.
func sidecarFits(c *container.InspectResponse, image string, gate spec.Gate, networkID string) bool {
	return c.Config.Labels[spec.LabelImage] == image &&
		c.Config.Labels[spec.LabelNetwork] == gate.Network &&
		(c.Config.Labels[spec.LabelPipelock] != "") == gate.Pipelock &&
		string(c.HostConfig.NetworkMode) == networkID
}

func sidecarConfig(s *spec.Spec, image string, labels map[string]string) *container.Config {
	args := []string{"--door", doorDir + "/door.sock", "--control", controlSocket, "--ca", caDir}
	if s.Gate.Pipelock {
		args = append(args, "--pipelock", pipelockPath, "--pipelock-dir", pipelockDir)
	}
	return &container.Config{
		Image:       image,
		Entrypoint:  []string{sidecarBinary, "sidecar", "run"},
		Cmd:         args,
		User:        sidecarUser,
		Env:         []string{"BB_INSTANCE=" + s.ID.Name()},
		WorkingDir:  "/",
		Labels:      labels,
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
}

func (d *Driver) sidecarHost(s *spec.Spec, networkID string) *container.HostConfig {
	host := d.confined()
	host.NetworkMode = container.NetworkMode(networkID)
	host.ReadonlyRootfs = true
	host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyUnlessStopped}
	host.Tmpfs = map[string]string{
		"/tmp":     "mode=1777,noexec,nosuid,nodev,size=64m",
		controlDir: "uid=65532,gid=65532,mode=0700,noexec,nosuid,nodev,size=1m",
	}
	if s.Gate.Pipelock {
		host.Tmpfs[pipelockDir] = "uid=65532,gid=65532,mode=0700,noexec,nosuid,nodev,size=16m"
	}
	// Not NoCopy: an empty volume takes the owner of the image's directory.
	host.Mounts = []mount.Mount{
		{Type: mount.TypeVolume, Source: s.ID.DoorVolume(), Target: doorDir},
		{Type: mount.TypeVolume, Source: s.ID.CAVolume(), Target: caDir},
	}
	host.Memory, host.MemorySwap = sidecarMemory, sidecarMemory
	host.NanoCPUs = sidecarCPUs * 1e9
	pids := int64(sidecarPIDs)
	host.PidsLimit = &pids
	return host
}

// confined is what agents and sidecars have in common: no power over the
// engine's machine, no core files, bounded logs.
func (d *Driver) confined() *container.HostConfig {
	return &container.HostConfig{
		CapDrop:      []string{"ALL"},
		SecurityOpt:  []string{"no-new-privileges", d.profile},
		IpcMode:      container.IPCModePrivate,
		CgroupnsMode: container.CgroupnsModePrivate,
		LogConfig: container.LogConfig{
			Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"},
		},
		Resources: container.Resources{
			Ulimits: []*container.Ulimit{{Name: "core", Soft: 0, Hard: 0}},
		},
	}
}
