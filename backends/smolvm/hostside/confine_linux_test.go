package hostside

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	a := attempts{
		Secret: filepath.Join(base, "secret", "key"), Abstract: "@bb-test-" + filepath.Base(base),
		Sibling: filepath.Join(base, "sibling"),
	}
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
	own(t, base, uid)
	sibling := launch(t, bb, home(a.Sibling), as)
	a.Process = sibling.Process.Pid
	told(t, home(a.Sibling), as, "apply", sibling.document)
	neighbor := exec.Command("/bin/sleep", "60")
	neighbor.SysProcAttr = as
	if err := neighbor.Start(); err != nil {
		t.Fatal(err)
	}
	defer neighbor.Wait()         //nolint:errcheck // it is killed
	defer neighbor.Process.Kill() //nolint:errcheck // it is killed
	a.Neighbor = neighbor.Process.Pid

	h := home(filepath.Join(base, "home"))
	if err := os.MkdirAll(h.own(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := write(h.own("attempts"), a); err != nil {
		t.Fatal(err)
	}
	own(t, string(h), uid)
	if err := launch(t, played, h, as).Wait(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(h.own("did"))
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
		"read its memory": false, "take a descriptor": false, "signal by handle": false,
		"reach a sibling's control socket": false, "read a sibling's key": false, "read its own key again": false,
		"list the siblings": false, "read a sibling's authority": false, "remove a sibling's control socket": false,
		"hold a sibling's lock": false,
		"a sibling: signal":     false, "a sibling: read its environment": false, "a sibling: trace": false,
		"a sibling: read its memory": false, "a sibling: take a descriptor": false, "a sibling: signal by handle": false,
		"compare with it": false, "move its pages": false, "have it end first": false, "see where it is": false,
		"a sibling: compare with it": false, "a sibling: move its pages": false, "a sibling: have it end first": false,
		"a sibling: see where it is": false,
		"become root of a namespace": false, "mount": false, "open its score again": false, "list processes": false,
		"own directory": true, "names": true, "run git's kind": true,

		// Known limits: see docs/security.md.
		"a sibling: change its limits": true, "change the mode of a file": true, "open a port without naming one": true,
		"learn the names of a sibling's sockets": true, "connect to a sibling's door": landlockVersion() < socketsVersion,
	}
	if diff := cmp.Diff(want, did); diff != "" {
		t.Errorf("what it could do (-want +got):\n%s", diff)
	}
	if said := told(t, home(a.Sibling), as, "get", ""); !strings.Contains(said, `"api.example.com"`) || strings.Contains(said, "attacker") {
		t.Errorf("the sibling enforces %s", said)
	}
}
