package smolvm

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
