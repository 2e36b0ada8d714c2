package docker

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/door/session"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// StartAgent places the sidecar's certificate, and in an agent that never ran
// every file, in one upload, and starts the agent. One that runs already is
// left alone. No agent starts without a sidecar that enforces a policy.
func (d *Driver) StartAgent(ctx context.Context, s *spec.Spec) error {
	name := s.ID.Name()
	agent, err := d.find(ctx, s.ID, spec.RoleAgent)
	if err != nil {
		return err
	}
	if agent == nil {
		return diag.Errorf("bottle %s does not exist", name).WithHint("'bb apply' creates it")
	}
	if agent.State.Running && !agent.State.Paused {
		return nil
	}
	gate, err := d.running(ctx, s.ID, spec.RoleSidecar)
	if err != nil {
		return err
	}
	state, err := d.lastState(ctx, gate.ID, s.ID.Sidecar())
	if err != nil {
		return err
	}
	if state == nil || state.State != egress.StateConfigured {
		return diag.Errorf("the sidecar of %s is not configured", s.ID).WithHint("'bb apply' configures it first")
	}
	if agent.State.Paused {
		return d.wrap(d.engine.ContainerUnpause(ctx, agent.ID), "unpause bottle %s", name)
	}
	if err := d.fillWorkspace(ctx, s, agent); err != nil {
		return err
	}
	again := agent.State.Status != "created"
	files := append(homeFiles(s), guest.Record(guest.Placing(s))...)
	if again {
		files = workdirAgain(s)
	}
	place, err := d.trust(ctx, s, agent.ID, gate.ID, files)
	if err != nil {
		return err
	}
	if err := d.upload(ctx, agent.ID, name, place); err != nil {
		return err
	}
	if err := d.engine.ContainerStart(ctx, agent.ID, container.StartOptions{}); err != nil {
		return d.wrap(err, "start bottle %s", name)
	}
	if agent.HostConfig.Runtime == "runsc" {
		if err := d.probeDoor(ctx, s, agent.ID, again); err != nil {
			return err
		}
	}
	if again {
		return d.restore(ctx, s, agent.ID)
	}
	return nil
}

// workdirAgain puts the directory that the first process starts in back, where
// the agent put something else: it could not start any more. Nothing of the
// agent's runs now that could move what is looked at.
func workdirAgain(s *spec.Spec) []spec.File {
	dir := s.Fixed.Workspace.Workdir()
	if s.Fixed.Workspace.Mode == spec.WorkspaceMount || !strings.HasPrefix(dir, spec.Home+"/") {
		return nil
	}
	return []spec.File{{Path: dir, Dir: true, Mode: 0o755}}
}

// homeFiles are what a bottle begins with. Only an agent that never ran is
// given them by the engine: its home is the image's, and not yet the agent's.
func homeFiles(s *spec.Spec) []spec.File {
	if s.Fixed.Workspace.Mode == spec.WorkspaceMount && s.Fixed.Workspace.GuestPath == spec.Workdir {
		return slices.Clone(s.Files)
	}
	return append([]spec.File{{Path: spec.Workdir, Dir: true, Mode: 0o755}}, s.Files...)
}

// trust adds the sidecar's certificate to files, alone and in the bundle.
func (d *Driver) trust(ctx context.Context, s *spec.Spec, agent, sidecar string, files []spec.File) (*guest.Archive, error) {
	ca, err := d.authority(ctx, s, sidecar)
	if err != nil {
		return nil, err
	}
	bundle, err := d.readFile(ctx, agent, spec.CABundle)
	if err != nil && !errdefs.IsNotFound(err) {
		return nil, d.wrap(err, "read %s of %s", spec.CABundle, s.ID.Name())
	}
	a := guest.NewArchive()
	files = append(files,
		spec.File{Path: spec.CAFile, Mode: 0o644, Content: ca, Root: true},
		spec.File{Path: spec.CABundle, Mode: 0o644, Content: guest.WithAuthority(bundle, ca), Root: true})
	return a, a.Add(files...)
}

// authority is the sidecar's certificate, and nothing but certificates: the
// key lies beside it.
func (d *Driver) authority(ctx context.Context, s *spec.Spec, sidecar string) ([]byte, error) {
	text, err := d.readFile(ctx, sidecar, caFile)
	if err != nil {
		return nil, d.wrap(err, "certificate of sidecar %s", s.ID.Sidecar())
	}
	certs := guest.Certificates(text)
	if len(certs) == 0 {
		return nil, diag.Errorf("sidecar %s has no certificate", s.ID.Sidecar())
	}
	return certs, nil
}

// probeDoor asks whether the door answers: a runtime with its own kernel lets
// no unix socket in unless it is told to. It fails closed: a bottle that never
// ran is removed, and one that starts again is stopped, since it holds work.
func (d *Driver) probeDoor(ctx context.Context, s *spec.Spec, agent string, again bool) error {
	bounded, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	res, err := d.session(bounded, agent, session.Options{Bare: true}, nil,
		command{argv: []string{spec.BinaryPath, "door", "probe"}})
	if err == nil && res.code == 0 {
		return nil
	}
	if err == nil {
		err = diag.Errorf("the door of %s does not answer under runsc: %s", s.ID.Name(), lastLines(res.stderr, 1)).
			WithHint("give runsc '--host-uds=open' in the engine's configuration, or unset %s", runtimeVar)
	}
	after := context.WithoutCancel(ctx)
	if again {
		return errors.Join(d.wrap(err, "start bottle %s", s.ID.Name()), d.stopRole(after, s.ID, spec.RoleAgent))
	}
	return errors.Join(d.wrap(err, "start bottle %s", s.ID.Name()), d.remove(after, agent, s.ID.Name()))
}
