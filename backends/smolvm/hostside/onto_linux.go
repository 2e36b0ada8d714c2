package hostside

import (
	"os"

	"golang.org/x/sys/unix"
)

// Onto makes a descriptor of this process another one of f's, which the next
// program has too.
func Onto(f *os.File, fd int) error {
	if int(f.Fd()) == fd {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		return err
	}
	return unix.Dup3(int(f.Fd()), fd, 0)
}
