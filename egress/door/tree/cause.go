package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// copyExactly copies n bytes; fewer are io.ErrUnexpectedEOF.
func copyExactly(w io.Writer, r io.Reader, n int64, buf []byte, on func(int)) error {
	for n > 0 {
		piece := buf[:min(int64(len(buf)), n)]
		got, err := r.Read(piece)
		if got > 0 {
			if _, err := w.Write(piece[:got]); err != nil {
				return err
			}
			if n -= int64(got); on != nil {
				on(got)
			}
		}
		switch {
		case n == 0:
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return nil
}

// kind says what a file that is refused is.
func kind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "neither a file nor a directory"
}

// gone reports that a path was removed, or is not what it was, meanwhile.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func unreadable(err error) string { return "cannot be read: " + cause(err).Error() }

// plain names the path below the top, and the cause without it.
func plain(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", Shown(name), cause(err))
}

func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}
