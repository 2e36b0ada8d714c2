package docker

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// standin builds the stand-in for pipelock for a system.
func standin(t *testing.T, goos, goarch, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipelock")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w -X main.version="+version, "-o", path, "../../egress/pipelock/internal/standin")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func TestFindPipelock(t *testing.T) {
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	script := filepath.Join(t.TempDir(), "pipelock")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho pipelock version 2.3.0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	dynamic, err := exec.LookPath("ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir()+":"+os.Getenv("PATH"))
	for name, c := range map[string]struct{ path, want string }{
		"mac":       {standin(t, "darwin", "arm64", "2.3.0"), "is no linux program (sidecars run linux: name a linux pipelock, version 2, with BB_PIPELOCK)"},
		"script":    {script, "is no linux program"},
		"dynamic":   {dynamic, "is not static"},
		"version 3": {standin(t, runtime.GOOS, runtime.GOARCH, "3.5.0"), "pipelock 3.5.0 is not supported: bb writes configurations for version 2"},
		"garbage":   {standin(t, runtime.GOOS, runtime.GOARCH, "x"), "it does not say which version of pipelock it is"},
		"absent":    {filepath.Join(t.TempDir(), "none"), "BB_PIPELOCK: "},
		"none":      {"", "pipelock is not on PATH (install version 2 from its releases page, or name it with BB_PIPELOCK)"},
	} {
		if runtime.GOOS != "linux" && (name == "version 3" || name == "garbage" || name == "dynamic") {
			continue // what is there is no linux program, and says so
		}
		_, err := findPipelock(c.path)
		var d diag.Diagnostic
		if !errors.As(err, &d) || !strings.Contains(err.Error(), c.want) || d.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	far, err := findPipelock(standin(t, "linux", other, "2.3.0"))
	if err != nil || far.arch != other || far.version != "" {
		t.Errorf("another architecture: %q %q, %v", far.arch, far.version, err)
	}
	if err := far.fits(runtime.GOARCH); err == nil || !strings.Contains(err.Error(), "is for "+other) {
		t.Errorf("%v", err)
	}
	if err := far.fits(other); err != nil {
		t.Error(err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	path := standin(t, "linux", runtime.GOARCH, "2.3.0")
	t.Setenv("PATH", filepath.Dir(path))
	p, err := findPipelock("")
	if err != nil || p.version != "2.3.0" || p.path != path || len(p.digest) != 64 {
		t.Errorf("on PATH: %q %q %q, %v", p.path, p.version, p.digest, err)
	}
}

func TestPreflightWithoutPipelock(t *testing.T) {
	d := &Driver{pipelock: func() (program, error) { t.Error("it was looked for"); return program{}, nil }}
	if err := d.Preflight(t.Context(), &spec.Spec{}); err != nil {
		t.Error(err)
	}
	t.Setenv("PATH", t.TempDir())
	d.pipelock = pipelockOnce("")
	f := d.examinePipelock(runtime.GOARCH)
	if f.Status != backends.StatusOK || f.Hint != pipelockHint || !strings.Contains(f.Message, "only bottles with egress.pipelock need it") {
		t.Errorf("%+v", f)
	}
}

// The program is there before the user without powers is, and nothing of the
// plain recipe is lost.
func TestPipelockRecipe(t *testing.T) {
	r := pipelockRecipe()
	const added = "COPY pipelock /usr/local/bin/pipelock\n"
	if !strings.HasSuffix(r, added+"USER 65532:65532\n") && !strings.HasSuffix(r, added+"USER 65532:65532") {
		t.Errorf("%s", r)
	}
	if strings.Replace(r, added, "", 1) != sidecarRecipe {
		t.Error("it is another recipe otherwise")
	}
}
