package cli

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/hostside"
)

// Where a sidecar could reach an engine, it is not called confined without that.
func TestDoctorNamesSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "bb-d") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // of this test
	path := filepath.Join(dir, "engine.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("DOCKER_HOST", "unix://"+path)
	x := &examination{}
	x.sidecars()
	if len(x.Findings) != 1 {
		t.Fatalf("%+v", x.Findings)
	}
	f := x.Findings[0]
	switch {
	case hostside.Unconfined() != "":
		if f.Status != backends.StatusWarn || f.Message != hostside.Unconfined() {
			t.Errorf("%+v", f)
		}
	case len(hostside.Reach()) == 0: // Landlock of version 9
		if f.Status != backends.StatusOK {
			t.Errorf("%+v", f)
		}
	case f.Status != backends.StatusWarn || !strings.Contains(f.Message, path) || f.Hint == "":
		t.Errorf("%+v", f)
	}
}
