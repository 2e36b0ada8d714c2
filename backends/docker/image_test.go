package docker

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// label is the image label that s should have now.
func label(t *testing.T, d *Driver, s *spec.Spec) plan.ImageState {
	t.Helper()
	i, err := d.lookAt(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return i.state()
}

// TestDockerfile builds a user's Dockerfile behind roots of its own, honours
// .dockerignore, and tags by content.
func TestDockerfile(t *testing.T) {
	d := newDriver(t)
	d.opts.BuildCA = []byte("-----BEGIN CERTIFICATE-----\n" + "unique " + randomHex(t, 8) + "\n-----END CERTIFICATE-----\n")
	s := newSpec(t, d)
	dir := t.TempDir()
	file := filepath.Join(dir, "Dockerfile")
	s.Image = spec.Image{Name: "bbtest-file", Dockerfile: file}
	mine := "bb.test=" + randomHex(t, 8)
	write(t, file, "# escape=\\\nARG BASE=nothing\nFROM \\\n  # a comment inside\n  ${BASE} AS one\nLABEL "+mine+"\n"+
		"RUN echo $NODE_EXTRA_CA_CERTS > /ca-path && test -s $NODE_EXTRA_CA_CERTS\n"+
		"FROM one\nCOPY . /context\nRUN useradd -m -u 1000 node\n")
	write(t, filepath.Join(dir, "kept"), randomHex(t, 4))
	write(t, filepath.Join(dir, "skipped/secret"), "x")
	write(t, filepath.Join(dir, ".git/config"), "x")
	write(t, filepath.Join(dir, ".dockerignore"), "skipped\n")

	before := label(t, d, s)
	if before.Ref == "" || before.Present {
		t.Errorf("before the build: %+v", before)
	}
	var wg sync.WaitGroup
	for range 4 { // all that share an image share the work
		wg.Go(func() {
			if err := d.EnsureImage(t.Context(), s, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() { removeLabelled(t, raw(t), mine) })
	if after := label(t, d, s); after != (plan.ImageState{Ref: before.Ref, Present: true}) {
		t.Errorf("after the build: %+v, before: %+v", after, before)
	}
	bringUp(t, d, s)
	got, _ := sh(t, d, s, "cat /ca-path; ls -A /context; env | grep -c NODE_EXTRA")
	want := "/usr/local/share/ca-certificates/bb-build-ca.crt\n.bb-build-ca.crt\n.dockerignore\nDockerfile\nkept\n0\n"
	if got != want {
		t.Errorf("inside: %q, want %q", got, want)
	}

	write(t, filepath.Join(dir, "skipped/secret"), "y")
	write(t, filepath.Join(dir, ".git/config"), "y")
	d.opts.BuildCA = nil
	if again := label(t, d, s); again.Ref != before.Ref {
		t.Errorf("what is ignored changed the tag: %s, %s", before.Ref, again.Ref)
	}
	write(t, filepath.Join(dir, "kept"), "changed")
	if changed := label(t, d, s); changed.Ref == before.Ref {
		t.Error("a changed context kept its tag")
	}
}

func TestImageErrors(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	if err := d.Prepare(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ensure := func(i spec.Image) error {
		s.Image = i
		return d.EnsureImage(t.Context(), s, nil)
	}
	failing := "ARG BASE\nFROM ${BASE}\nRUN for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do echo line $i; done; echo boom; exit 7\n"
	err := ensure(spec.Image{Name: "bbtest-fail", Recipe: failing})
	if text := err.Error(); !strings.Contains(text, "boom") || !strings.Contains(text, "line 20") ||
		strings.Contains(text, "line 2\n") || !strings.Contains(text, "non-zero code: 7") {
		t.Errorf("a build that fails: %v", err)
	}
	err = ensure(spec.Image{Name: "x", Dockerfile: filepath.Join(t.TempDir(), "nothing")})
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a dockerfile that is not there: %v", err)
	}
	err = ensure(spec.Image{Name: "x", Ref: "localhost:1/bbtest-none:latest"})
	if err == nil || !strings.Contains(err.Error(), "is not on the engine and cannot be pulled") {
		t.Errorf("an image that is not there: %v", err)
	}

	s.Image = spec.Image{Name: "base", Ref: DefaultBaseImage}
	if err := d.EnsureImage(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateSidecar(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	err = d.CreateAgent(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), `has no user "node" with uid 1000`) {
		t.Errorf("an image without the user: %v", err)
	}
	if _, err := raw(t).ContainerInspect(t.Context(), s.ID.Name()); err == nil {
		t.Error("the agent of an unfit image was left behind")
	}
	s.Gate.Network = "bb-no-such-network"
	if err := d.CreateSidecar(t.Context(), s); err == nil || !strings.Contains(err.Error(), "network bb-no-such-network does not exist") {
		t.Errorf("a network that is not there: %v", err)
	}
}

// TestBinaryVolume cuts a fill off at every point that a kill can, and fills
// again.
func TestBinaryVolume(t *testing.T) {
	d := newDriver(t)
	b := binary{arch: "amd64", digest: randomHex(t, 6)}
	c, ctx := raw(t), t.Context()
	labels := d.shared(spec.RoleBinary)
	check := func(what string) {
		t.Helper()
		if full, err := d.binaryReady(ctx, b); err != nil || full {
			t.Errorf("%s: full %v, %v", what, full, err)
		}
		if err := d.ensureBinary(ctx, b); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if full, err := d.binaryReady(ctx, b); err != nil || !full {
			t.Errorf("%s, filled: full %v, %v", what, full, err)
		}
		if err := c.VolumeRemove(ctx, binMarker(b), false); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.VolumeCreate(ctx, volume.CreateOptions{Name: binVolume(b), Labels: labels}); err != nil {
		t.Fatal(err)
	}
	check("an empty volume")
	if _, err := c.ContainerCreate(ctx, &container.Config{Image: DefaultBaseImage, Cmd: []string{"true"}, Labels: labels},
		&container.HostConfig{NetworkMode: "none"}, nil, nil, binFiller(b)); err != nil {
		t.Fatal(err)
	}
	check("a filler that was left behind")
	if err := c.VolumeRemove(ctx, binVolume(b), false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.VolumeCreate(ctx, volume.CreateOptions{Name: binVolume(b)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.VolumeRemove(backgroundOf(t), binVolume(b), true) })
	if err := d.ensureBinary(ctx, b); err == nil || !strings.Contains(err.Error(), "is not bb's") {
		t.Errorf("somebody else's volume: %v", err)
	}
}
