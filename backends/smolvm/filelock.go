package smolvm

import (
	"context"
	"errors"
	"os"
	"syscall"
)

const lockSuffix = ".lock"

// errLocked says that another has a lock.
var errLocked = errors.New("another process holds it")

// lockFile waits for a lock among processes, or for ctx. The file may be removed
// by who holds it.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	for {
		unlock, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		if err := sleep(ctx, lockPause); err != nil {
			return nil, err
		}
	}
}

// tryLock returns errLocked at once when another has it.
func tryLock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		return nil, errors.Join(errLocked, f.Close())
	case err != nil:
		return nil, errors.Join(err, f.Close())
	}
	// Its last holder may have removed it after it was opened here.
	mine, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(mine, now) {
		return nil, errors.Join(errLocked, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// locked reports whether somebody has the lock. It makes no file.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}
