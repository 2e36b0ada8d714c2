package docker

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSockets(t *testing.T) {
	const near = `{"Name":"near","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///srv/near/docker.sock"}}}`
	for name, tt := range map[string]struct {
		config  string
		vars    map[string]string
		has, no string
	}{
		"the system's":              {has: "/var/run/docker.sock"},
		"of a machine":              {has: "~/.colima/default/docker.sock"},
		"of a session":              {vars: map[string]string{"XDG_RUNTIME_DIR": "/run/user/1"}, has: "/run/user/1/podman/podman.sock"},
		"without a session":         {no: "podman/podman.sock"},
		"of DOCKER_HOST":            {vars: map[string]string{"DOCKER_HOST": "unix:///x/y.sock"}, has: "/x/y.sock"},
		"of the current context":    {config: `{"currentContext":"near"}`, has: "/srv/near/docker.sock"},
		"of another context":        {no: "/srv/near/docker.sock"},
		"of a broken configuration": {config: `{"currentContext":`, has: "/var/run/docker.sock"},
		"of an engine far away":     {vars: map[string]string{"DOCKER_HOST": "tcp://127.0.0.1:2375"}, no: "127.0.0.1:2375"},
	} {
		dir, getenv := environment(t, tt.vars)
		makeContext(t, dir, "near", near)
		if tt.config != "" {
			put(t, filepath.Join(dir, "config.json"), tt.config)
		}
		var got []string
		for _, path := range Sockets(getenv) {
			if rel, err := filepath.Rel(getenv("HOME"), path); err == nil && filepath.IsLocal(rel) {
				path = "~/" + rel
			}
			got = append(got, path)
		}
		if tt.has != "" && !slices.Contains(got, tt.has) || tt.no != "" && slices.Contains(got, tt.no) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestOtherSockets(t *testing.T) {
	dir, getenv := environment(t, nil)
	if got := otherSockets(getenv); len(got) != 0 {
		t.Errorf("nothing listens, got %q", got)
	}
	there := filepath.Join(dir, "run", "docker.sock")
	if err := os.MkdirAll(filepath.Dir(there), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", there)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	put(t, filepath.Join(dir, "desktop", "docker.sock"), "a file")
	if diff := cmp.Diff([]string{there}, otherSockets(getenv)); diff != "" {
		t.Error(diff)
	}
}
