package hostside

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReach(t *testing.T) {
	dir := shortDir(t)
	for _, name := range []string{"engine", "run/docker.sock", "run/bus", "home/.docker/run/docker.sock"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	if err := os.Symlink("../../run/docker.sock", filepath.Join(dir, "home/.docker/desktop")); err != nil { // no directory
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "run/podman"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../docker.sock", filepath.Join(dir, "run/podman/podman.sock")); err != nil { // the same
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "run/systemd/private"), 0o700); err != nil { // no socket
		t.Fatal(err)
	}
	env := map[string]string{"DOCKER_HOST": "unix://" + filepath.Join(dir, "engine"), "XDG_RUNTIME_DIR": filepath.Join(dir, "run"), "HOME": filepath.Join(dir, "home")}
	var got []string
	for _, path := range reach(func(name string) string { return env[name] }) {
		if name, ok := strings.CutPrefix(path, dir+"/"); ok {
			got = append(got, name)
		}
	}
	if d := cmp.Diff([]string{"engine", "run/docker.sock", "run/bus", "home/.docker/run/docker.sock"}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	env = map[string]string{"DOCKER_HOST": "tcp://engine.example.com:2376"}
	for _, path := range reach(func(name string) string { return env[name] }) {
		if !strings.HasPrefix(path, "/var/run/") && !strings.HasPrefix(path, "/run/") {
			t.Errorf("%s", path)
		}
	}
}
