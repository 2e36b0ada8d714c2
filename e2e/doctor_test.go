package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDoctorOnTheEngine asserts that doctor tells what is, of an engine that is
// well, that lacks something, and that is not there; and that it makes nothing.
func TestDoctorOnTheEngine(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.bottle("base", "agent_provider: {template: shell}")
	h.agent("one", "base", "")
	r := h.must("doctor")
	version := docker(t, "version", "--format", "{{.Server.Version}}")
	runc := docker(t, "version", "--format", `{{range .Server.Components}}{{if eq .Name "runc"}}{{.Version}}{{end}}{{end}}`)
	r.says(t, "docker "+version, "runc "+runc, docker(t, "info", "--format", "storage driver {{.Driver}}"),
		baseImage()+" is there", sidecarBinary+" is static", "takes seccomp profiles")
	var out struct {
		Findings []struct{ Check, Status, Message, Hint string }
		Summary  map[string]int
	}
	if err := json.Unmarshal([]byte(h.must("doctor", "--json").stdout), &out); err != nil {
		t.Fatal(err)
	}
	if out.Summary["fail"] != 0 || len(out.Findings) < 10 {
		t.Errorf("%+v", out)
	}
	for _, f := range out.Findings {
		if f.Status != "ok" && f.Hint == "" && !strings.HasPrefix(f.Message, "the engine says") {
			t.Errorf("no next step: %+v", f)
		}
	}
	if _, err := os.Stat(filepath.Join(h.dir, "state")); err == nil {
		t.Error("doctor made a state directory")
	}
	if made := resources(t, h.id); len(made) > 0 {
		t.Errorf("doctor made %v", made)
	}
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"no engine":     {[]string{"DOCKER_HOST=unix:///no/such.sock"}, "no engine answers at unix:///no/such.sock (DOCKER_HOST)"},
		"no address":    {[]string{"DOCKER_HOST=nonsense"}, "DOCKER_HOST: no address"},
		"no base image": {[]string{"BB_BASE_IMAGE=127.0.0.1:1/none:1"}, "127.0.0.1:1/none:1 is not on the engine and cannot be pulled"},
		"no binary":     {[]string{"BB_SIDECAR_BINARY=/bin/sh"}, "/bin/sh is not static"},
		"no build CA":   {[]string{"BB_BUILD_CA=/nonexistent.pem"}, "--build-ca"},
	} {
		was := h.env
		h.env = append(h.env, c.env...)
		r := h.fails("doctor")
		r.says(t, c.want, "fail  docker.")
		if strings.Count(r.stdout, "fail ") != 1 {
			t.Errorf("%s: want one failure: %s", name, r)
		}
		h.env = was
	}
}
