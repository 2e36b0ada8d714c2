package smolvm

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

// export gives the image of newSpec as a file, by the engine.
func export(t *testing.T, w *world) string {
	t.Helper()
	s := newSpec(t)
	if err := w.EnsureImage(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	i, err := w.resolve(t.Context(), s)
	if err != nil || !i.present {
		t.Fatalf("%+v, %v", i, err)
	}
	return i.use.Archive
}

// Without an engine a bottle is made of a file, a directory or what smolvm
// pulls; and no machine has a network afterwards.
func TestImagesWithoutEngine(t *testing.T) {
	w := newWorld(t)
	archive := export(t, w)
	w.opts.Images = nil
	dir := t.TempDir()
	const ref = "registry.example.com/agents/shell:1"
	w.fake.Registry(ref, archive)
	for what, image := range map[string]string{
		"archive": archive, "compressed": zipped(t, archive, filepath.Join(dir, "image.tar.gz")),
		"directory": userRoot(t), "pack": copied(t, archive, filepath.Join(dir, "image.smolmachine")), "reference": ref,
	} {
		t.Run(what, func(t *testing.T) {
			s := newSpec(t)
			s.Image = spec.Image{Name: "x", Ref: image}
			w.up(t, s)
			if got := w.sh(t, s, "id -un; pwd"); got != "node\n/home/node/workspace\n" {
				t.Errorf("%q", got)
			}
			world, err := w.Observe(t.Context(), plan.Query{Owner: w.opts.Owner, Specs: []*spec.Spec{s}})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range world.Instances {
				if i.ID == s.ID && (len(i.Agent.Altered) > 0 || i.Agent.Image != world.Images[s.ID.Name()].Ref || !strings.HasPrefix(i.Agent.Image, image)) {
					t.Errorf("%+v, wanted of %+v", i.Agent, world.Images)
				}
			}
			if m, err := w.find(t.Context(), s.ID); err != nil || m.Network == nil || *m.Network {
				t.Errorf("its network: %+v, %v", m, err)
			}
		})
	}
	s := newSpec(t)
	if err := w.EnsureImage(t.Context(), s, nil); err == nil || !strings.Contains(err.Error(), "needs a docker engine") {
		t.Errorf("a recipe without an engine: %v", err)
	}
	s.Image = spec.Image{Ref: "/nowhere/image.tar"}
	if err := w.EnsureImage(t.Context(), s, nil); err == nil || !strings.Contains(err.Error(), "/nowhere/image.tar") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// While a machine pulls its image it has a network, and nothing of the door is
// there: bb's first process says so, and listens on nothing.
func TestShutWhilePulling(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	archive := export(t, w)
	w.opts.Images = nil
	const ref = "registry.example.com/agents/shell:2"
	w.fake.Registry(ref, archive)
	s.Image = spec.Image{Name: "x", Ref: ref}
	w.upTo(t, s)
	w.fake.Fault("start", fakesmol.FaultSlow, 1)
	started := make(chan error, 1)
	go func() { started <- w.StartAgent(t.Context(), s) }()
	said, looks := "", 0
	for w.machineOf(t, s.ID).Network {
		if pid := w.fake.Process(s.ID.Name()); pid != 0 && strings.Contains(said, "the door stays shut") {
			if devices, ports := insideOf(pid); len(devices) > 1 {
				looks++
				if len(ports) > 0 {
					t.Errorf("beside %v it listens on %v", devices, ports)
				}
			}
		}
		said = w.console(t, s.ID)
		select {
		case err := <-started:
			t.Fatal(err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if looks == 0 {
		t.Errorf("the machine was never seen to pull: %s", said)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if devices, ports := insideOf(w.fake.Process(s.ID.Name())); len(devices) != 1 || len(ports) == 0 {
		t.Errorf("as a bottle it has the devices %v and listens on %v", devices, ports)
	}
}

// A smolvm that gives a machine no device of its own pulls nothing.
func TestNoPullWithoutADevice(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.opts.Images = nil
	s.Image = spec.Image{Name: "x", Ref: "registry.example.com/agents/shell:1"}
	old := filepath.Join(t.TempDir(), "smolvm")
	script := "#!/bin/sh\nif [ \"$3\" = --help ]; then " + w.fake.Path + " \"$@\" | grep -v net-backend; else exec " + w.fake.Path + " \"$@\"; fi\n"
	if err := os.WriteFile(old, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	w.opts.Getenv = func(name string) string {
		if name == "BB_SMOLVM" {
			return old
		}
		return w.fake.Getenv(name)
	}
	if err := w.EnsureImage(t.Context(), s, nil); err == nil || !strings.Contains(err.Error(), "bb lets none pull an image without (install a newer smolvm") {
		t.Errorf("%v", err)
	}
}

// machineOf is the fake's own record.
func (w *world) machineOf(t *testing.T, id spec.ID) (record struct{ Network bool }) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.fake.DataDir, "fakesmol", "machines", id.Name()+".json"))
	if err == nil {
		err = json.Unmarshal(b, &record)
	}
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func (w *world) console(t *testing.T, id spec.ID) string {
	t.Helper()
	var out bytes.Buffer
	if err := w.Logs(t.Context(), id, backends.LogRequest{}, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// insideOf lists the devices of a machine, and the ports that are listened on,
// by its first process: the child of its own.
func insideOf(machine int) (devices, ports []string) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", machine))
	for _, child := range strings.Fields(string(b)) {
		lines, _ := os.ReadFile("/proc/" + child + "/net/dev")
		for _, l := range slices.Collect(strings.Lines(string(lines)))[min(2, bytes.Count(lines, []byte("\n"))):] {
			name, _, _ := strings.Cut(strings.TrimSpace(l), ":")
			devices = append(devices, name)
		}
		for _, table := range []string{"tcp", "tcp6"} {
			b, _ := os.ReadFile("/proc/" + child + "/net/" + table)
			for l := range strings.Lines(string(b)) {
				if f := strings.Fields(l); len(f) > 3 && f[3] == "0A" {
					ports = append(ports, f[1])
				}
			}
		}
	}
	return devices, ports
}

// A pull that fails leaves no machine with a network.
func TestPullThatFails(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.opts.Images = nil
	s.Image = spec.Image{Name: "x", Ref: "registry.example.com/agents/none:1"}
	w.upTo(t, s)
	if err := w.StartAgent(t.Context(), s); err == nil {
		t.Error("it started")
	}
	if m, err := w.find(t.Context(), s.ID); m != nil || err != nil {
		t.Errorf("left: %+v, %v", m, err)
	}
}

func zipped(t *testing.T, from, to string) string {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	z, _ := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if _, err := io.Copy(z, in); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return to
}

func copied(t *testing.T, from, to string) string {
	t.Helper()
	if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// userRoot is a root directory with the agent's user in it.
func userRoot(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	const script = `cp -a "$1" "$2" && chroot "$2" useradd -m -u 1000 node`
	if out, err := exec.Command("sh", "-c", script, "sh", fakesmol.Root(t, "debian:bookworm-slim"), root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return root
}

// An engine that goes away takes nobody's work along: what its image is called
// without one is not another image. Another reference is.
func TestEngineThatGoesAway(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	const ref = "debian:bookworm-slim"
	w.opts.Images = tagged{w.opts.Images, ref}
	s.Image = spec.Image{Name: "x", Ref: ref}
	w.upTo(t, s)
	engine := w.opts.Images
	for _, tt := range []struct {
		what, ref string
		images    Images
		changes   bool
	}{
		{"with it", ref, engine, false},
		{"without it", ref, nil, false},
		{"another reference without it", "debian:trixie-slim", nil, true},
		{"another reference that it does not have", "registry.example.com/none:1", engine, true},
	} {
		w.opts.Images, s.Image.Ref = tt.images, tt.ref
		world, err := w.Observe(t.Context(), plan.Query{Owner: w.opts.Owner, Specs: []*spec.Spec{s}})
		if err != nil || len(world.Instances) != 1 {
			t.Fatalf("%s: %+v, %v", tt.what, world, err)
		}
		if have, want := world.Instances[0].Agent.Image, world.Images[s.ID.Name()].Ref; want == "" || (have != want) != tt.changes {
			t.Errorf("%s: it is %q, wanted is %q", tt.what, have, want)
		}
	}
}

// tagged is an engine that asks no registry.
type tagged struct {
	Images
	has string
}

func (e tagged) EnsureImage(ctx context.Context, s *spec.Spec, via *backends.BuildProxy) error {
	if s.Image.Ref != e.has {
		return errors.New("no registry is asked")
	}
	return e.Images.EnsureImage(ctx, s, via)
}
