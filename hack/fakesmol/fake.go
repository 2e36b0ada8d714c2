package fakesmol

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Fake is a smolvm for one test, with a data directory of its own.
type Fake struct {
	Path    string // of the program, named smolvm
	DataDir string

	t      testing.TB
	state  *state
	faults int
}

// New makes a fake, whose machines end with the test. The test binary's TestMain
// must begin with Main.
func New(t testing.TB) *Fake {
	t.Helper()
	self, err := executable()
	if err != nil {
		t.Fatal(err)
	}
	f := &Fake{Path: filepath.Join(t.TempDir(), program), DataDir: t.TempDir(), t: t}
	f.state = &state{f.DataDir}
	if err := os.Symlink(self, f.Path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { KillAll(f.DataDir) })
	return f
}

// KillAll ends all machines of a data directory.
func KillAll(dataDir string) {
	s := &state{dataDir}
	machines, _ := s.all() // what cannot be read was never started
	for _, m := range machines {
		s.kill(m.Name)
	}
}

// Getenv answers as the environment of a user of this fake does.
func (f *Fake) Getenv(name string) string {
	switch name {
	case "BB_SMOLVM":
		return f.Path
	case "SMOLVM_DATA_DIR":
		return f.DataDir
	}
	return os.Getenv(name)
}

// Registry puts an archive where the fake's machines pull ref from, once they
// have a network.
func (f *Fake) Registry(ref, archive string) {
	f.t.Helper()
	to := f.state.pulled(ref)
	err := os.MkdirAll(filepath.Dir(to), 0o700)
	if err == nil {
		err = copyTo(to, archive)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// Kill kills the process of a machine, as a crash of it would.
func (f *Fake) Kill(machine string) { f.state.kill(machine) }

// Process is the pid of a machine's process on this machine, 0 when it is dead.
func (f *Fake) Process(machine string) int { return f.state.process(machine) }

// Root is the root directory of an image of the Docker engine, for --image. It
// is unpacked once for all tests of this user, and machines do not write to it.
func Root(t testing.TB, image string) string {
	t.Helper()
	root, err := root(image)
	if err != nil {
		t.Fatalf("unpack %s: %v (run hack/engine)", image, err)
	}
	return root
}

func root(image string) (string, error) {
	id, err := exec.Command("docker", "image", "inspect", "--format", "{{.Id}}", image).Output()
	if err != nil {
		return "", err
	}
	return shared(strings.TrimPrefix(strings.TrimSpace(string(id)), "sha256:"), func(to string) error {
		// A container that never runs holds the image's files as one tree.
		const script = `set -eu
id=$(docker create "$1" true)
trap 'docker rm -f "$id" >/dev/null' EXIT
mkdir "$2"
docker export "$id" | tar -x -C "$2" --numeric-owner`
		if out, err := exec.Command("sh", "-c", script, "sh", image, to).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}
