package hostside

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A sidecar that was taken over has its own directory and the network, and
// nothing else of its user; as root, and as a user.
func TestTakenOver(t *testing.T) {
	for name, uid := range map[string]uint32{"as this user": uint32(os.Getuid()), "as a user": 1000} {
		t.Run(name, func(t *testing.T) {
			if os.Getuid() != 0 && uid != uint32(os.Getuid()) {
				lacking(t, "to be another takes root")
			}
			takenOver(t, uid)
		})
	}
}

// lacking leaves a test out on a person's machine, and fails it in CI.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what + ": NOT RUN")
}

func takenOver(t *testing.T, uid uint32) {
	if lacks := Unconfined(); lacks != "" {
		lacking(t, lacks)
	}
	base := shortDir(t)
	home := filepath.Join(base, "home", "w")
	a := attempts{Secret: filepath.Join(base, "secret", "key"), Abstract: "@bb-test-" + filepath.Base(base)}
	for path, text := range map[string]string{a.Secret: "private", a.Secret + ".sh": "#!/bin/sh\n"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", a.Abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	neighbor := exec.Command("/bin/sleep", "60")
	neighbor.SysProcAttr = as
	if err := neighbor.Start(); err != nil {
		t.Fatal(err)
	}
	defer neighbor.Wait()         //nolint:errcheck // it is killed
	defer neighbor.Process.Kill() //nolint:errcheck // it is killed
	a.Neighbor = neighbor.Process.Pid
	for _, dir := range []string{home, filepath.Join(base, "home", "d")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(filepath.Join(home, "attempts"), a); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(base, "bb")
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(program, self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(base, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Chown(path, int(uid), int(uid))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "sidecar", "host")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = home, []string{}, as
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(home, "did"))
	if err != nil {
		t.Fatal(err)
	}
	did := map[string]bool{}
	if err := json.Unmarshal(b, &did); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"read a file": false, "list a directory": false, "write beside": false, "run a file": false, "a child reads it": false,
		"open a port": false, "signal": false, "read its environment": false, "trace": false, "reach its socket": false,
		"link a socket into the door": false, "move a link into the door": false, "write into the door": false,
		"move or remove the door": false, "write what bb believes": false, "listen at the door": true,
		"become another": false, "change owners": false,
		"own directory": true, "names": true, "run git's kind": true,
	}
	if diff := cmp.Diff(want, did); diff != "" {
		t.Errorf("what it could do (-want +got):\n%s", diff)
	}
}
