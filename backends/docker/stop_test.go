package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/bot-bottle/bb/engine/spec"
)

// deafRuntime calls its agents runsc's, and lets no probe of the door through.
type deafRuntime struct {
	engineAPI
	probed func() error
}

func (e *deafRuntime) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	c, err := e.engineAPI.ContainerInspect(ctx, id)
	if err == nil {
		c.HostConfig.Runtime = "runsc"
	}
	return c, err
}

func (e *deafRuntime) ContainerExecCreate(ctx context.Context, id string, o container.ExecOptions) (container.ExecCreateResponse, error) {
	if strings.HasSuffix(strings.Join(o.Cmd, " "), " door probe") {
		if err := e.probed(); err != nil {
			return container.ExecCreateResponse{}, err
		}
		o.Cmd[len(o.Cmd)-1] = "nothing" // ends with a code of its own
	}
	return e.engineAPI.ContainerExecCreate(ctx, id, o)
}

// TestDeafDoor: an agent whose door does not answer does not run. One that was
// stopped keeps its disk, whatever becomes of the probe; a new one leaves nothing.
func TestDeafDoor(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	if _, code := sh(t, d, s, "echo work > ~/kept"); code != 0 {
		t.Fatal("no file was written")
	}
	plain := d.engine
	start := func(ctx context.Context, probed func() error) {
		t.Helper()
		d.engine = &deafRuntime{plain, probed}
		defer func() { d.engine = plain }()
		if err := d.StartAgent(ctx, s); err == nil {
			t.Error("it starts with a door that does not answer")
		}
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	for what, c := range map[string]struct {
		ctx    context.Context
		probed func() error
	}{
		"the probe says no":         {t.Context(), func() error { return nil }},
		"the engine does not do it": {t.Context(), func() error { return errors.New("no exec here") }},
		"somebody interrupts it": {interrupted, func() error {
			interrupt()
			return context.Canceled
		}},
	} {
		if err := d.stopRole(t.Context(), s.ID, spec.RoleAgent); err != nil {
			t.Fatal(err)
		}
		start(c.ctx, c.probed)
		o, _ := observed(t, d, s)
		if o.Agent == nil || o.Agent.Running {
			t.Fatalf("%s: %+v", what, o.Agent)
		}
	}
	if err := d.StartAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got, _ := sh(t, d, s, "cat ~/kept"); got != "work\n" {
		t.Errorf("its file says %q", got)
	}
	if err := d.RemoveAgent(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	start(t.Context(), func() error { return nil })
	if o, _ := observed(t, d, s); o.Agent != nil {
		t.Errorf("a new one stays: %+v", o.Agent)
	}
}

// TestArchive reads an agent in which nothing runs, be it stopped or paused, and
// says so of one that does run.
func TestArchive(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	const dir = spec.Home + "/.talks"
	if out, code := sh(t, d, s, "mkdir -p ~/.talks/a && echo said > ~/.talks/a/one.jsonl && ln -s /etc ~/.talks/out"); code != 0 {
		t.Fatal(out)
	}
	if err := d.Archive(t.Context(), s.ID, dir, io.Discard); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of one that runs: %v", err)
	}
	reads := func(state string) {
		t.Helper()
		var b bytes.Buffer
		if err := d.Archive(t.Context(), s.ID, dir, &b); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		said := map[string]string{}
		for r := tar.NewReader(&b); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(r)
			said[path.Clean(h.Name)] = string(text) + h.Linkname
		}
		if said[".talks/a/one.jsonl"] != "said\n" || said[".talks/out"] != "/etc" || len(said) != 4 {
			t.Errorf("%s: %q", state, said)
		}
		if err := d.Archive(t.Context(), s.ID, spec.Home+"/none", io.Discard); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s, what is not there: %v", state, err)
		}
	}
	if err := raw(t).ContainerPause(t.Context(), s.ID.Name()); err != nil {
		t.Fatal(err)
	}
	reads("paused")
	if err := d.Stop(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	reads("stopped")
	if err := d.RemoveAgent(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if err := d.Archive(t.Context(), s.ID, dir, io.Discard); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of none: %v", err)
	}
}
