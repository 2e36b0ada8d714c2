package upstream

import (
	"errors"
	"net"
	"os"
)

// checkPeer refuses a client of another user.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var uid int
	var uidErr error
	if err := raw.Control(func(fd uintptr) { uid, uidErr = peerUID(int(fd)) }); err != nil {
		return err
	}
	if uidErr == nil && uid != os.Geteuid() {
		uidErr = errors.New("the other end is another user")
	}
	return uidErr
}
