package docker

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/bot-bottle/bb/engine/spec"
)

func TestCanMount(t *testing.T) {
	for host, good := range map[string]bool{
		"unix:///var/run/docker.sock": true, "tcp://127.0.0.1:2375": false, "ssh://docker.example.com": false,
	} {
		d, err := New(Options{Host: host})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.CanMount(); (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
		_, err = d.mountWorkspace(&spec.Spec{Fixed: spec.Fixed{Workspace: spec.Workspace{Mode: "mount", Path: t.TempDir()}}})
		if good != (err == nil) {
			t.Errorf("%s: mount: %v", host, err)
		}
	}
}

// TestCopyCutShort: a copy that ends in the middle is made again, and only an
// agent that ran keeps what is in it.
func TestCopyCutShort(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a"), strings.Repeat("a", 3<<20))
	write(t, filepath.Join(dir, "z"), "z")
	s.Fixed.Workspace = spec.Workspace{Mode: "copy", Path: dir, GuestPath: spec.Workdir}

	real := d.engine
	if err := d.Prepare(t.Context(), nil); err != nil { // its own large upload
		t.Fatal(err)
	}
	d.engine = cutShort{real}
	if err := tryUp(t, d, s); err == nil || !strings.Contains(err.Error(), "copy "+dir) {
		t.Fatalf("cut short: %v", err)
	}
	agent, err := d.find(t.Context(), s.ID, spec.RoleAgent)
	if err != nil || agent.State.Status != "created" {
		t.Fatalf("the agent is %+v, %v", agent, err)
	}
	d.engine = real
	if err := tryUp(t, d, s); err != nil {
		t.Fatal(err)
	}
	if got, _ := sh(t, d, s, "cat ~/workspace/a | wc -c; cat ~/workspace/z; pwd"); got != "3145728\nz"+spec.Workdir+"\n" {
		t.Errorf("in the bottle: %q", got)
	}
}

// tryUp walks the steps of an apply; each may have been done before.
func tryUp(t *testing.T, d *Driver, s *spec.Spec) error {
	t.Helper()
	secrets := newSecrets(d, s)
	for _, step := range []func() error{
		func() error { return d.Prepare(t.Context(), nil) },
		func() error { return d.EnsureImage(t.Context(), s, nil) },
		func() error { return d.CreateSidecar(t.Context(), s) },
		func() error { return d.Configure(t.Context(), s, secrets, nil) },
		func() error { return d.CreateAgent(t.Context(), s) },
		func() error { return d.StartAgent(t.Context(), s) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// cutShort loses the connection in the middle of what is large.
type cutShort struct{ engineAPI }

func (c cutShort) CopyToContainer(ctx context.Context, id, path string, r io.Reader, o container.CopyToContainerOptions) error {
	return c.engineAPI.CopyToContainer(ctx, id, path, &cutReader{r: r, left: 1 << 20}, o)
}

type cutReader struct {
	r    io.Reader
	left int
}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
