package hostside

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress/sidecar"
)

// The test binary plays bb as far as a sidecar goes, and a sidecar that was
// taken over: what it can do is told to the test.
func TestMain(m *testing.M) {
	args := os.Args[1:]
	if len(args) < 2 || args[0] != "sidecar" {
		os.Exit(m.Run())
	}
	if err := play(args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func play(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	confined := len(args) > 1 && args[1] == "--confined"
	switch {
	case args[0] == "ctl":
		return sidecar.Ctl(ctx, args[2], args[3], os.Stdin, os.Stdout)
	case args[0] == "host" && !confined:
		return Become([]string{"sidecar", "host", "--confined"}, nil)
	case args[0] == "host":
		Adopt()
		if _, err := os.Stat("attempts"); err == nil {
			return attempt()
		}
		at, err := Here()
		if err != nil {
			return err
		}
		log, err := os.OpenFile(at.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		return sidecar.Run(ctx, sidecar.Options{
			DoorSocket: at.Door, ControlSocket: at.Control, CADir: at.CA,
			Instance: os.Getenv("BB_INSTANCE"), Build: "test", Stdout: log, Stderr: log,
		})
	}
	return fmt.Errorf("unknown %v", args)
}

// attempts is what a sidecar that was taken over is told to try.
type attempts struct {
	Secret   string // a file of the same user's
	Neighbor int    // a process of the same user's
	Abstract string // a socket
}

func attempt() error {
	var a attempts
	if err := read("attempts", &a); err != nil {
		return err
	}
	did := map[string]bool{}
	try := func(what string, err error) { did[what] = err == nil }
	_, err := os.ReadFile(a.Secret)
	try("read a file", err)
	_, err = os.ReadDir(filepath.Dir(a.Secret))
	try("list a directory", err)
	try("write beside", os.WriteFile(a.Secret+".mine", nil, 0o600))
	try("run a file", exec.Command(a.Secret+".sh").Run())
	try("a child reads it", exec.Command("/bin/cat", a.Secret).Run())
	plain := net.ListenConfig{}
	plain.SetMultipathTCP(false) // which Landlock does not know
	l, err := plain.Listen(context.Background(), "tcp", "127.0.0.1:0")
	try("open a port", err)
	if err == nil {
		_ = l.Close()
	}
	try("signal", syscall.Kill(a.Neighbor, 0))
	_, err = os.ReadFile("/proc/" + strconv.Itoa(a.Neighbor) + "/environ")
	try("read its environment", err)
	try("trace", syscall.PtraceAttach(a.Neighbor))
	c, err := net.DialTimeout("unix", a.Abstract, time.Second)
	try("reach its socket", err)
	if err == nil {
		_ = c.Close()
	}
	try("become another", syscall.Setuid(12345))
	try("change owners", os.Chown("attempts", 12345, 12345))
	try("link a socket into the door", os.Symlink(a.Secret, "../d/s"))
	err = os.Symlink(a.Secret, "s")
	if err == nil {
		err = os.Rename("s", "../d/s")
	}
	try("move a link into the door", err)
	try("write into the door", os.WriteFile("../d/x", nil, 0o600))
	err = os.Rename("../d", "d")
	if err != nil {
		err = os.Remove("../d")
	}
	try("move or remove the door", err)
	try("write what bb believes", os.WriteFile("../sidecar", nil, 0o600))
	door, err := net.Listen("unix", "../d/s")
	try("listen at the door", err)
	if err == nil {
		_ = door.Close()
	}
	try("own directory", os.WriteFile("mine", nil, 0o600))
	_, err = os.ReadFile("/etc/hosts")
	try("names", err)
	try("run git's kind", exec.Command("/bin/true").Run())
	b, err := json.Marshal(did)
	if err != nil {
		return err
	}
	return os.WriteFile("did", b, 0o600)
}
