package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// relayHolder is what a relay writes into its file. Who holds the lock is the
// kernel's to say: what is written may be of one that was killed.
type relayHolder struct {
	Since time.Time `json:"since"`
	BB    string    `json:"bb"`
	About string    `json:"about"`
}

// relayFile is locked while an instance has a relay.
func relayFile(dir string, id spec.ID) string { return filepath.Join(dir, "relay-"+id.Name()) }

func openPrivate(path string, flags int) (*os.File, error) {
	return os.OpenFile(path, flags|syscall.O_NOFOLLOW, 0o600)
}

// holdRelay makes this process the relay of an instance, or fails where another
// is. It is a record lock, whose holder the kernel names; who opens and closes
// the file a second time in this process would lose it.
func holdRelay(path, about string) (*os.File, error) {
	f, err := openPrivate(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		return nil, errors.Join(fmt.Errorf("another relay holds %s: %w", path, err), f.Close())
	}
	b, err := json.Marshal(relayHolder{time.Now(), Version, about})
	if err == nil {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt(append(b, '\n'), 0)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// relayHeld returns the process that is an instance's relay, 0 for none, and
// what it said of itself.
func relayHeld(path string) (pid int, h relayHolder, err error) {
	f, err := openPrivate(path, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, h, nil
	}
	if err != nil {
		return 0, h, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, h, err
	}
	if lock.Type == unix.F_UNLCK {
		return 0, h, nil
	}
	_ = json.NewDecoder(f).Decode(&h) // one that has just begun has not said
	if lock.Pid <= 1 {
		return 0, h, diag.Errorf("the relay of %s runs where this bb cannot end it", filepath.Base(path)).
			WithHint("run bb where it was started (another container or machine)")
	}
	return int(lock.Pid), h, nil
}

// endRelay ends an instance's relay, if it has one.
func endRelay(ctx context.Context, path string) error {
	patience := time.Now().Add(3 * time.Second)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		pid, _, err := relayHeld(path)
		if pid == 0 || err != nil {
			return err
		}
		sig := syscall.SIGTERM
		if time.Now().After(patience) {
			sig = syscall.SIGKILL
		}
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end the relay (pid %d): %w", pid, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// forgetRelay ends the relay of an instance that is no more, and removes its
// files. The caller holds the scope's lock: nobody begins another meanwhile.
func forgetRelay(ctx context.Context, dir string, id spec.ID) error {
	path := relayFile(dir, id)
	if err := endRelay(ctx, path); err != nil {
		return err
	}
	for _, file := range []string{path, path + ".log"} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
