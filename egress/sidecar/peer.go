package sidecar

import (
	"errors"
	"net"
	"os"
)

// checkPeer refuses a control connection whose other end is not a process of
// the same user. Both ends look: a document goes to the right sidecar only.
func checkPeer(conn *net.UnixConn) error { return checkPeerIs(conn, os.Geteuid()) }

func checkPeerIs(conn *net.UnixConn, want int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var uid int
	var uidErr error
	if err := raw.Control(func(fd uintptr) { uid, uidErr = peerUID(int(fd)) }); err != nil {
		return err
	}
	if uidErr != nil {
		return uidErr
	}
	if uid != want {
		return errors.New("the other end of the control socket is another user")
	}
	return nil
}
