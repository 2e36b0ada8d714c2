//go:build !linux

package hostside

import (
	"os"

	"golang.org/x/sys/unix"
)

// Onto makes a descriptor of this process another one of f's.
func Onto(f *os.File, fd int) error { return unix.Dup2(int(f.Fd()), fd) }
