package fakesmol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// unusedFor is how long what tests share may lie unused before it is removed.
const unusedFor = 24 * time.Hour

// shared is a directory that all tests of this user have under that name, which
// is one of its content: make fills it, once. Nobody writes to it afterwards.
func shared(name string, make func(to string) error) (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("bb-fakesmol-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// Somebody else's directory of that name would be somebody else's machine.
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(s.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is not a directory of this user alone", dir)
	}
	to := filepath.Join(dir, name)
	lock, err := os.OpenFile(to+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	now := time.Now()
	if err := os.Chtimes(lock.Name(), now, now); err != nil {
		return "", err
	}
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	sweep(dir, now.Add(-unusedFor))
	if err := errors.Join(os.RemoveAll(to+".new"), make(to+".new")); err != nil {
		return "", err
	}
	return to, os.Rename(to+".new", to)
}

// sweep removes what nobody used since. What it cannot remove stays.
func sweep(dir string, since time.Time) {
	locks, _ := filepath.Glob(filepath.Join(dir, "*.lock"))
	for _, l := range locks {
		if info, err := os.Stat(l); err != nil || info.ModTime().After(since) {
			continue
		}
		_ = os.RemoveAll(l[:len(l)-len(".lock")])
		_ = os.Remove(l)
	}
}
