//go:build !linux

package child

import (
	"os"
	"syscall"
)

const canHold = false

// attributes: only Linux ends a child with its parent. A sidecar in a container
// runs there; one that is a process of the host is ended by its driver.
func attributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func seal() {}

func hold(int) bool { return false }

func release(int) {}

func await(int) {}

func restrict(int, Limits) error { return nil }

// Score is nothing on this system.
func Score(*os.File) error { return nil }

func expendably(start func() error) error { return start() }
