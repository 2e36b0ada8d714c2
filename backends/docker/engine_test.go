package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/conformance"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// These tests need a Docker engine and fail without one.

// shellRecipe is the least image that a bottle runs.
const shellRecipe = "ARG BASE\nFROM ${BASE}\nRUN useradd -m -u 1000 node\n"

// testBinary is a static bb, built once.
var testBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bb-docker-test-")
	if err != nil {
		panic(err)
	}
	testBinary = filepath.Join(dir, "bb")
	// A binary of this run alone: what is named after it can be removed.
	unique := "-ldflags=-s -w -X main.run=" + rand.Text()
	if err := goBuild(testBinary, "", "../../cmd/bb", unique); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	removeImages()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// removeImages removes the images that the tests share.
func removeImages() {
	ctx := context.Background()
	d, err := New(Options{Owner: "tests", Binary: testBinary})
	if err != nil {
		return
	}
	c := d.engine.(*client.Client)
	sidecar, _ := d.sidecarImage(ctx)
	images, _ := c.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "bb-bbtest*"))})
	tags := []string{sidecar}
	for _, i := range images {
		tags = append(tags, i.RepoTags...)
	}
	for _, tag := range tags {
		_, _ = c.ImageRemove(ctx, tag, image.RemoveOptions{PruneChildren: true})
	}
}

// goBuild builds a static linux program; the engine's architecture is the
// machine's wherever these tests run, "386" is for what must not run.
func goBuild(out, arch, pkg string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-o", out}, flags...)
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if arch == "386" {
		cmd.Env = append(cmd.Env, "GOARCH=386")
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

func randomHex(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// raw is the engine without bb's thinking, for the tests' own eyes and hands.
func raw(t *testing.T) *client.Client {
	t.Helper()
	at, err := locate("", os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := connect(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// newDriver returns a driver of an owner that nobody else has. What it makes
// is removed at the end of the test.
func newDriver(t *testing.T) *Driver {
	t.Helper()
	d, err := New(Options{
		Owner: randomHex(t, 16), Key: spec.Key("0123456789abcdef0123456789abcdef"),
		Version: "test", Binary: testBinary, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sweep(t, d) })
	return d
}

// sweep removes whatever carries the driver's owner; images stay, as in life.
func sweep(t *testing.T, d *Driver) {
	ctx, c := t.Context(), raw(t)
	if ctx.Err() != nil {
		ctx = backgroundOf(t)
	}
	mine := filters.NewArgs(filters.Arg("label", spec.LabelOwner+"="+d.opts.Owner))
	containers, err := c.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	if err != nil {
		t.Errorf("sweep: %v", err)
	}
	for _, x := range containers {
		_ = c.ContainerRemove(ctx, x.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	volumes, err := c.VolumeList(ctx, volume.ListOptions{Filters: mine})
	if err != nil {
		t.Errorf("sweep: %v", err)
	}
	for _, v := range volumes.Volumes {
		_ = c.VolumeRemove(ctx, v.Name, false) // the binary's may be in use by another's bottles
	}
}

// newSpec is a whole desire of a unique scope.
func newSpec(t *testing.T, d *Driver) *spec.Spec {
	t.Helper()
	s := &spec.Spec{
		ID:      spec.ID{Scope: randomHex(t, 8), Agent: "dev", Replica: "1"},
		Backend: "docker",
		Source:  spec.Source{AgentFile: "/home/me/agents/dev.md", BottleFile: "/home/me/bottles/base.md"},
		Image:   spec.Image{Name: "bbtest", Recipe: shellRecipe},
		Fixed: spec.Fixed{
			Backend: "docker", Provider: "shell",
			Env: []spec.Env{
				{Name: "PLAIN", Kind: spec.EnvLiteral, Value: "plain value"},
				{Name: "HIDDEN", Kind: spec.EnvHost, Value: "HOST_HIDDEN"},
			},
			Resources: spec.Resources{CPUs: 2, Memory: 512 << 20, PIDs: 200},
		},
		Live: spec.Live{
			Routes: []egress.Route{{
				Host: "api.example.org", Port: 443,
				Auth: &egress.Auth{Scheme: "Bearer", TokenRef: "TOKEN", Header: "Authorization", Slot: "EGRESS_TOKEN_0"},
			}},
			Tokens: map[string]string{"EGRESS_TOKEN_0": "TOKEN"},
			Prompt: "be kind",
		},
		Files: []spec.File{
			{Path: spec.PromptFile, Mode: 0o644, Content: []byte("be kind"), Part: spec.PartPrompt},
			{Path: spec.Home + "/.conf", Mode: 0o600, Content: []byte("fixed")},
		},
	}
	s.Fixed.Files = spec.FilesDigest(s.Files, "")
	return s
}

func newSecrets(d *Driver, s *spec.Spec) spec.Secrets {
	const value = "sk-test-0123456789"
	return spec.Secrets{
		Tokens:  map[string]string{"EGRESS_TOKEN_0": value},
		Env:     map[string]string{"HIDDEN": "hidden-env-value"},
		Digests: map[string]string{"EGRESS_TOKEN_0": d.opts.Key.Digest(s.ID.Name(), "TOKEN", value)},
	}
}

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) (backends.Driver, conformance.Fixture) {
		d := newDriver(t)
		s := newSpec(t, d)
		c := raw(t)
		return d, conformance.Fixture{
			Spec: s, Slot: "EGRESS_TOKEN_0", Secrets: newSecrets(d, s), Key: d.opts.Key, Owner: d.opts.Owner, Runs: true,
			MakeForeign: func(t *testing.T, kind, name string) { makeForeign(t, c, kind, name) },
			Exists: func(t *testing.T, kind, name string) bool {
				var err error
				if kind == "volume" {
					_, err = c.VolumeInspect(t.Context(), name)
				} else {
					_, err = c.ContainerInspect(t.Context(), name)
				}
				return err == nil
			},
			Alter: func(t *testing.T, id spec.ID, role string) {
				name := id.Sidecar()
				if role == spec.RoleAgent {
					name = id.Name()
					if err := c.NetworkDisconnect(t.Context(), "none", name, true); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.NetworkConnect(t.Context(), "bridge", name, nil); err != nil {
					t.Fatal(err)
				}
			},
			Git: func(t *testing.T) { giveGit(t, d, s) },
			Stop: func(t *testing.T, id spec.ID, role string) {
				name := id.Name()
				if role == spec.RoleSidecar {
					name = id.Sidecar()
				}
				now := 0
				if err := c.ContainerStop(t.Context(), name, container.StopOptions{Timeout: &now}); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// makeForeign copies every label of ours but the owner: names decide nothing.
func makeForeign(t *testing.T, c *client.Client, kind, name string) {
	t.Helper()
	labels := map[string]string{spec.LabelManaged: "1", spec.LabelOwner: "somebody-else"}
	if kind == "volume" {
		if _, err := c.VolumeCreate(t.Context(), volume.CreateOptions{Name: name, Labels: labels}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.VolumeRemove(backgroundOf(t), name, true) })
		return
	}
	made, err := c.ContainerCreate(t.Context(), &container.Config{Image: DefaultBaseImage, Cmd: []string{"sleep", "60"}, Labels: labels},
		&container.HostConfig{NetworkMode: "none"}, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.ContainerRemove(backgroundOf(t), made.ID, container.RemoveOptions{Force: true})
	})
}

// removeLabelled removes the images that a test alone made, stages too.
func removeLabelled(t *testing.T, c *client.Client, label string) {
	t.Helper()
	ctx := backgroundOf(t)
	images, err := c.ImageList(ctx, image.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", label))})
	if err != nil {
		t.Errorf("images of %s: %v", label, err)
	}
	for _, i := range images { // a parent goes with its last child
		_, _ = c.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true, PruneChildren: true})
	}
}
