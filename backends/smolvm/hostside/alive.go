package hostside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/engine/diag"
)

// process is what a sidecar writes down of itself before it is confined, where
// it cannot reach it afterwards.
type process struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	Born  string    `json:"born"` // see born
}

// holder is the process that has the pid file locked, 0 when there is none. That
// is the kernel's word, and no number that another process got is ever taken for
// a sidecar's; but one that was taken over can let go of its lock.
func holder(h home) (int, error) {
	f, err := os.OpenFile(h.own(pidFile), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, err
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	if lock.Pid <= 1 {
		return 0, diag.Errorf("the sidecar in %s runs where this bb cannot end it", h).
			WithHint("run bb where it was started (another container or machine)")
	}
	return int(lock.Pid), nil
}

// begun is the process that was started last, as long as it lives; the zero one
// otherwise, and where this system does not tell processes of one number apart.
func begun(h home) (process, error) {
	var p process
	if err := read(h.file(processFile), &p); err != nil {
		return process{}, gone(err)
	}
	if p.PID <= 1 || p.Born == "" || born(p.PID) != p.Born {
		return process{}, nil
	}
	return p, nil
}

// serving is the sidecar: the process that has the lock, and was started last.
func serving(h home) (process, error) {
	pid, err := holder(h)
	if err != nil || pid == 0 {
		return process{}, err
	}
	p := process{}
	if err := read(h.file(processFile), &p); err != nil {
		return process{PID: pid}, gone(err) // of a bb that wrote down nothing
	}
	if p.PID != pid || p.Born != "" && p.Born != born(pid) {
		return process{}, nil
	}
	return p, nil
}

// alive are all processes of an instance that bb knows how to name.
func alive(h home) ([]int, error) {
	var all []int
	pid, err := holder(h)
	if pid != 0 {
		all = append(all, pid)
	}
	p, readErr := begun(h)
	if p.PID != 0 && p.PID != pid {
		all = append(all, p.PID)
	}
	return all, errors.Join(err, readErr)
}

// end ends the sidecar: the process that holds the pid file, and the one that
// was started, and nothing else of their numbers.
func end(ctx context.Context, h home) error {
	for sig, late := syscall.SIGTERM, time.Now().Add(3*time.Second); ; {
		all, err := alive(h)
		if err != nil || len(all) == 0 {
			return err
		}
		if time.Now().After(late) {
			sig = syscall.SIGKILL
		}
		for _, pid := range all {
			if err := kill(h, pid, sig); err != nil {
				return fmt.Errorf("end the sidecar (pid %d): %w", pid, err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// kill takes hold of the process before it looks a second time that it is the
// sidecar: where the system has such handles its number cannot change hands.
func kill(h home, pid int, sig syscall.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer p.Release() //nolint:errcheck // nothing to lose
	if all, err := alive(h); err != nil || !slices.Contains(all, pid) {
		return err
	}
	if err := p.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
