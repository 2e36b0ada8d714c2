// Package lock keeps two commands from changing one scope at a time. The
// kernel releases the lock when its holder dies.
package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/engine/diag"
)

// Holder says who holds a lock.
type Holder struct {
	PID       int       `json:"pid"`
	Operation string    `json:"operation"`
	Since     time.Time `json:"since"`
}

// Lock is a held lock.
type Lock struct{ file *os.File }

// Acquire takes the lock of a scope under dir, waiting up to timeout. waiting
// is called once when someone else holds it.
func Acquire(ctx context.Context, dir, scope, operation string, timeout time.Duration, waiting func(Holder)) (*Lock, error) {
	path := filepath.Join(dir, "lock-"+scope)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(timeout)
	told := false
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		h := readHolder(path)
		if !told && waiting != nil && timeout > 0 {
			waiting(h)
			told = true
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(diag.Errorf("another bb works on this scope: %s (pid %d, since %s)",
				h.Operation, h.PID, h.Since.Format(time.TimeOnly)).
				WithHint("wait for it, or use --lock-timeout 30s"), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(100 * time.Millisecond):
		}
	}
	b, err := json.Marshal(Holder{os.Getpid(), operation, time.Now()})
	if err == nil {
		err = errors.Join(f.Truncate(0), writeAt(f, append(b, '\n')))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f}, nil
}

// Release gives the lock back. The file stays: removing it would let two
// holders lock different files of one name.
func (l *Lock) Release() error { return l.file.Close() }

func writeAt(f *os.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	return err
}

// readHolder is for the message only. A holder writes a moment after it has
// the lock: what is not there yet is looked for once more.
func readHolder(path string) Holder {
	h := Holder{Operation: "a command that has just begun", Since: time.Now()}
	for range 2 {
		if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &h) == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return h
}
