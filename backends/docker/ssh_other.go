//go:build !linux

package docker

import "syscall"

// ownSession keeps ssh from the terminal: no prompt appears, and Ctrl-C does
// not cut the connection that bb cleans up over.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
