package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/provider"
)

// Sizes in bytes beyond which something is no token and no login file.
const (
	maxToken  = 64 << 10
	maxAnswer = 1 << 20
)

// File returns the token in a file, without one line feed at its end. Others
// than its owner (the user, or root) must not be able to read it, and it must
// be the file itself: a link could be changed between two looks at it.
func File(path string) (string, error) {
	real, err := Expand(path)
	if err != nil {
		return "", err
	}
	f, err := openFile(real)
	if errors.Is(err, syscall.ELOOP) {
		return "", diag.Errorf("it is a symbolic link").WithHint("name the file itself")
	}
	if err != nil {
		return "", diag.Errorf("%v", diag.Cause(err)).WithHint("write the token alone into it, then: chmod 600 %s", path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", diag.Cause(err)
	}
	if err := private(info, path, os.Geteuid()); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", diag.Cause(err)
	}
	if len(b) > maxToken {
		return "", diag.Errorf("it is larger than %d KiB", maxToken>>10).WithHint("write the token alone into it")
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}

// openFile opens the file itself, not what a link names. Neither a pipe's writer
// is waited for nor a terminal taken.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}

// private judges an open file for a user.
func private(info fs.FileInfo, path string, uid int) error {
	if err := owned(info, uid, "name a file that holds the token alone"); err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&^0o600 != 0 {
		return diag.Errorf("its mode is %04o, more than its owner's to read and write", mode).WithHint("chmod 600 %s", path)
	}
	return nil
}

// owned wants a regular file of a user, or of root.
func owned(info fs.FileInfo, uid int, instead string) error {
	if info.IsDir() {
		return diag.Errorf("it is a directory").WithHint("name the file in it")
	}
	if !info.Mode().IsRegular() {
		return diag.Errorf("it is not a regular file").WithHint("%s", instead)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != uid && st.Uid != 0 {
		return diag.Errorf("it belongs to another user").WithHint("make a copy of your own with mode 0600")
	}
	return nil
}

// Answer reads the one file that a provider asks for.
func Answer(ask provider.Ask) provider.Answer {
	dir := ask.Dir
	if set := os.Getenv(ask.DirVar); ask.DirVar != "" && set != "" {
		dir = set
	}
	dir, err := Expand(dir)
	a := provider.Answer{Path: dir + "/" + ask.File, Err: err}
	if err != nil {
		return a
	}
	f, err := os.OpenFile(a.Path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		a.Err = diag.Cause(err)
		return a
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		a.Err = diag.Cause(err)
	case !info.Mode().IsRegular():
		a.Err = errors.New("not a regular file")
	default:
		a.Text, a.Err = io.ReadAll(io.LimitReader(f, maxAnswer+1))
		if len(a.Text) > maxAnswer {
			a.Text, a.Err = nil, fmt.Errorf("larger than %d bytes", maxAnswer)
		}
	}
	return a
}
