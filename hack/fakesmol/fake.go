package fakesmol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
	self, err := os.Executable()
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
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("bb-fakesmol-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// Somebody else's directory of that name would be somebody else's machine.
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(s.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is not a directory of this user alone", dir)
	}
	digest := strings.TrimPrefix(strings.TrimSpace(string(id)), "sha256:")
	to := filepath.Join(dir, digest)
	lock, err := os.OpenFile(to+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	// A container that never runs holds the image's files as one tree.
	const script = `set -eu
id=$(docker create "$1" true)
trap 'docker rm -f "$id" >/dev/null' EXIT
rm -rf "$2.new"
mkdir "$2.new"
docker export "$id" | tar -x -C "$2.new" --numeric-owner
mv "$2.new" "$2"`
	if out, err := exec.Command("sh", "-c", script, "sh", image, to).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return to, nil
}
