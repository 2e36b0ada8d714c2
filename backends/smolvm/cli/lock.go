package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Held is a machine that only this holder changes: two starts of one machine
// at a time can kill each other. Release it.
type Held struct {
	c    *Client
	name string
	file *os.File
}

// Hold waits for a machine's lock or for ctx. It holds against other goroutines
// and processes; the kernel gives it back when the holder dies.
func (c *Client) Hold(ctx context.Context, name string) (*Held, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if c.locks == "" {
		return nil, errors.New("no directory for the locks of machines")
	}
	if err := os.MkdirAll(c.locks, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(c.locks, name+".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return &Held{c, name, f}, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Release gives the machine back. The file stays: removing it would let two
// holders lock different files of one name.
func (h *Held) Release() error { return h.file.Close() }
