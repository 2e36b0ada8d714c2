package docker

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// bringUp runs every step of a plan for s.
func bringUp(t *testing.T, d *Driver, s *spec.Spec) {
	t.Helper()
	ctx, secrets := t.Context(), newSecrets(d, s)
	parts := []string{spec.PartEgress, spec.PartIdentity, spec.PartPrompt, spec.PartSkills, spec.PartEnv}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"prepare", func() error { return d.Prepare(ctx, nil) }},
		{"ensure image", func() error { return d.EnsureImage(ctx, s, nil) }},
		{"create sidecar", func() error { return d.CreateSidecar(ctx, s) }},
		{"configure", func() error { return d.Configure(ctx, s, secrets, parts[:1]) }},
		{"create agent", func() error { return d.CreateAgent(ctx, s) }},
		{"start agent", func() error { return d.StartAgent(ctx, s) }},
		{"provision", func() error { return d.Provision(ctx, s, secrets, parts[1:]) }},
		{"claim", func() error { return d.Configure(ctx, s, secrets, parts) }},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
}

// sh runs a shell line in the bottle and returns what it printed.
func sh(t *testing.T, d *Driver, s *spec.Spec, line string) (string, int) {
	t.Helper()
	out := &bytes.Buffer{}
	code, err := d.Exec(t.Context(), s.ID, backends.ExecRequest{
		Argv: []string{"sh", "-c", line}, Stdout: out, Stderr: out,
	})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return out.String(), code
}

func probeFile(t *testing.T, arch, name string) spec.File {
	t.Helper()
	out := filepath.Join(t.TempDir(), "probe")
	if err := goBuild(out, arch, "./testdata/probe"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return spec.File{Path: spec.Home + "/" + name, Mode: 0o755, Content: content}
}

// TestKernelSurface tries, from inside a real bottle, what its agent must not
// be able to do. EPERM is the filter's word where nothing else would refuse.
func TestKernelSurface(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	s.Files = append(s.Files, probeFile(t, runtime.GOARCH, "probe"))
	if runtime.GOARCH == "amd64" {
		s.Files = append(s.Files, probeFile(t, "386", "probe32"))
	}
	bringUp(t, d, s)

	out, code := sh(t, d, s, "~/probe")
	if code != 0 {
		t.Fatalf("probe: code %d\n%s", code, out)
	}
	got := map[string]string{}
	for line := range strings.Lines(out) {
		name, said, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		got[name] = said
	}
	want := map[string]string{
		"socket unix": "done", "socket tcp": "done", "socket udp6": "done", "socket mptcp": "done",
		"socket netlink route": "done",
		"dial outside tcp":     "ENETUNREACH", "dial outside udp": "ENETUNREACH", "dial bridge": "ENETUNREACH",
		"listen 80": "done",
		"clone3":    "ENOSYS", // so that libraries fall back to clone, whose flags can be seen
	}
	refused := []string{"EROFS", "EACCES", "ENOENT"} // for files any word of refusal will do
	for name, said := range got {
		if _, ok := want[name]; ok {
			continue
		}
		want[name] = "EPERM"
		file := strings.HasPrefix(name, "write ") || strings.HasSuffix(name, " door")
		if said == "ENOSYS" || file && slices.Contains(refused, said) { // ENOSYS: no such call at all
			want[name] = said
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the kernel said (-want +got):\n%s", diff)
	}
	if runtime.GOARCH != "amd64" {
		return
	}
	for _, line := range []string{"~/probe32", "~/probe int80", "~/probe x32"} {
		if out, code := sh(t, d, s, line); code < 128 || strings.Contains(out, "went on") {
			t.Errorf("%s: code %d, it must be killed: %s", line, code, out)
		}
	}
}
