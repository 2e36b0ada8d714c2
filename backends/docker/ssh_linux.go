package docker

import "syscall"

// ownSession keeps ssh from the terminal: no prompt appears, and Ctrl-C does
// not cut the connection that bb cleans up over. It dies with bb.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
