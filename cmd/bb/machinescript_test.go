package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bot-bottle/bb/hack/fakesmol"
)

func TestMachineScript(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("the fake smolvm makes namespaces and mounts: run this test as root")
		}
		t.Skip("the fake smolvm makes namespaces and mounts, which takes root: NOT RUN")
	}
	runScripts(t, "machine", "smolvm")
}

// onMachines gives each script a smolvm of its own, no engine, and IMAGE, a root
// directory that has the agent's user. No backend is the default one.
func onMachines(t *testing.T, binary string) func(*testscript.Env) error {
	t.Helper()
	fake := fakesmol.New(t)
	image := filepath.Join(t.TempDir(), "root")
	const make = `cp -a "$1" "$2" && chroot "$2" useradd -m -u 1000 node`
	root := fakesmol.Root(t, "debian:bookworm-slim")
	if out, err := exec.Command("sh", "-c", make, "sh", root, image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return func(e *testscript.Env) error {
		// The paths of sockets have little room.
		home, err := os.MkdirTemp("", "bb") //nolint:usetesting // t.TempDir is too long for them
		if err != nil {
			return err
		}
		e.Defer(func() { _ = os.RemoveAll(home) })
		data := filepath.Join(e.WorkDir, "data")
		e.Defer(func() { // a script that fails leaves nothing behind
			destroy := exec.Command(binary, "destroy", "-y")
			destroy.Env = append(os.Environ(), "BB_HOME="+home, "BB_SMOLVM="+fake.Path, "SMOLVM_DATA_DIR="+data, "BB_BACKEND=smolvm")
			_ = destroy.Run()
			fakesmol.KillAll(data)
		})
		e.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+e.Getenv("PATH"))
		e.Setenv("BB_HOME", home)
		e.Setenv("BB_BACKEND", "")
		e.Setenv("BB_SMOLVM", fake.Path)
		e.Setenv("SMOLVM_DATA_DIR", data)
		e.Setenv("DOCKER_HOST", "unix:///nonexistent")
		e.Setenv("IMAGE", image)
		return os.CopyFS(home, os.DirFS(filepath.Join(e.WorkDir, "manifests")))
	}
}
