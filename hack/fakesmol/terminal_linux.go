package fakesmol

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

type windowSize struct{ Rows, Cols, X, Y uint16 }

func ioctl[T any](f *os.File, request uintptr, v *T) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(v))); errno != 0 {
		return errno
	}
	return nil
}

// openTerminal runs inside a box, whose terminals are its own.
func openTerminal(rows, cols uint16) (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	var unlocked, n int32
	if err = ioctl(master, syscall.TIOCSPTLCK, &unlocked); err == nil {
		err = ioctl(master, syscall.TIOCGPTN, &n)
	}
	if err == nil && rows > 0 {
		err = ioctl(master, syscall.TIOCSWINSZ, &windowSize{Rows: rows, Cols: cols})
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		_ = master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// rawTerminal makes the terminal of this process pass everything on, and reads
// its size, once: smolvm does not follow its changes.
func rawTerminal(q *request) (restore func()) {
	var size windowSize
	if ioctl(os.Stdin, syscall.TIOCGWINSZ, &size) == nil {
		q.Rows, q.Cols = size.Rows, size.Cols
	}
	var before syscall.Termios
	if ioctl(os.Stdin, syscall.TCGETS, &before) != nil {
		return func() {}
	}
	raw := before
	raw.Iflag &^= syscall.IGNBRK | syscall.BRKINT | syscall.PARMRK | syscall.ISTRIP | syscall.INLCR | syscall.IGNCR | syscall.ICRNL | syscall.IXON
	raw.Oflag &^= syscall.OPOST
	raw.Lflag &^= syscall.ECHO | syscall.ECHONL | syscall.ICANON | syscall.ISIG | syscall.IEXTEN
	raw.Cc[syscall.VMIN], raw.Cc[syscall.VTIME] = 1, 0
	_ = ioctl(os.Stdin, syscall.TCSETS, &raw) // as it was, then
	return func() { _ = ioctl(os.Stdin, syscall.TCSETS, &before) }
}
