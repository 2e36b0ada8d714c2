package gitgate

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// hookName is what bb is called by as git's hook.
const hookName = "pre-receive"

// hookDescriptor is the socket to the gate; git passes it on.
const hookDescriptor = 3

// quarantineVariable is where git keeps what it received until the hook ends.
const quarantineVariable = "GIT_QUARANTINE_PATH"

// maxOffer bounds what a hook hands over.
const maxOffer = 2 << 20

// hookChild is bb as the hook of git receive-pack. It hands the quarantine and
// the refs to the gate and holds git until the gate is done with them. Then it
// fails, always: what the gate accepted is on the upstream by then, and nothing
// is ever kept in the repository that received it.
func hookChild(argv []string) (code int, handled bool) {
	if len(argv) == 0 || filepath.Base(argv[0]) != hookName {
		return 0, false
	}
	f := os.NewFile(hookDescriptor, "gate")
	if f == nil {
		return 1, true
	}
	conn, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		return 1, true
	}
	defer conn.Close()
	if offer(conn, os.Getenv(quarantineVariable), os.Stdin) == nil {
		_, _ = io.Copy(io.Discard, conn) // until the gate, or its end, closes it
	}
	return 1, true
}

func offer(conn net.Conn, quarantine string, refs io.Reader) error {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("no unix socket")
	}
	if _, err := io.WriteString(conn, quarantine+"\x00"); err != nil {
		return err
	}
	if _, err := io.Copy(conn, refs); err != nil {
		return err
	}
	return unix.CloseWrite()
}

// takeOffer reads what a hook hands over: false when no hook was called, or it
// did not come to its end.
func takeOffer(conn io.Reader) (quarantine, refs string, ok bool) {
	all, err := io.ReadAll(io.LimitReader(conn, maxOffer+1))
	if err != nil || len(all) > maxOffer {
		return "", "", false
	}
	return strings.Cut(string(all), "\x00")
}

// hookSocket makes the two ends: the gate's, and what git gets.
func hookSocket() (gate net.Conn, git *os.File, err error) {
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(pair[0]), "hook")
	defer f.Close()
	git = os.NewFile(uintptr(pair[1]), "gate")
	if gate, err = net.FileConn(f); err != nil {
		return nil, nil, errors.Join(err, git.Close())
	}
	return gate, git, nil
}
