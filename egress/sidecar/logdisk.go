package sidecar

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// logDirName is the logs' directory below the authority's: what only the
// sidecar mounts, what outlives its replacement, and what dies with the instance.
const logDirName = "log"

// Names of the logs' files, before the position of the first byte.
const (
	accessFiles = "access"
	gitFiles    = "git"
)

// logFiles is the form of the rest of a name.
var logFiles = regexp.MustCompile(`^[0-9]{19}$`)

// directory is the logDisk of one log; several may lie in one.
type directory struct {
	dir  string
	name string // of its files
}

func (d directory) path(base int64) string {
	return filepath.Join(d.dir, fmt.Sprintf("%s.%019d", d.name, base))
}

func (d directory) create(base int64) (logFile, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(d.path(base), os.O_CREATE|os.O_TRUNC|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
}

func (d directory) remove(base int64) error {
	if err := os.Remove(d.path(base)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// open keeps the newest files that follow one another and removes the others.
func (d directory) open() ([]*segment, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(d.dir, 0o700); err != nil {
		return nil, err
	}
	bases, err := d.bases()
	if err != nil {
		return nil, err
	}
	var kept []*segment // newest first
	for _, base := range slices.Backward(bases) {
		var s *segment
		switch len(kept) {
		case 0:
			s, err = d.openLast(base)
		case 1:
			s, err = d.openBefore(base, kept[0].base)
		}
		if err != nil {
			for _, s := range kept {
				_ = s.file.Close()
			}
			return nil, err
		}
		if s == nil {
			if err := d.remove(base); err != nil {
				return nil, err
			}
			continue
		}
		kept = append(kept, s)
	}
	slices.Reverse(kept)
	return kept, nil
}

func (d directory) bases() ([]int64, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, e := range entries { // sorted by name, and so by position
		if digits, ok := strings.CutPrefix(e.Name(), d.name+"."); ok && logFiles.MatchString(digits) && e.Type().IsRegular() {
			if base, err := strconv.ParseInt(digits, 10, 64); err == nil {
				bases = append(bases, base)
			}
		}
	}
	return bases, nil
}

// openLast opens the file that was written last, up to its last whole line: a
// sidecar that was killed may have torn the one after it. nil means that
// nothing is in it.
func (d directory) openLast(base int64) (*segment, error) {
	file, size, err := d.openFile(base)
	if err != nil {
		return nil, err
	}
	data := make([]byte, min(size, 2*maxLogFile))
	if n, err := file.ReadAt(data, 0); n < len(data) {
		_ = file.Close()
		return nil, err
	}
	whole := int64(bytes.LastIndexByte(data, '\n') + 1)
	if whole == 0 {
		return nil, file.Close()
	}
	if err := file.Truncate(whole); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &segment{base: base, size: whole, file: file}, nil
}

// openBefore opens a file that ends where the next begins; nil where it is
// shorter than that.
func (d directory) openBefore(base, next int64) (*segment, error) {
	file, size, err := d.openFile(base)
	if err != nil {
		return nil, err
	}
	if size < next-base {
		return nil, file.Close()
	}
	return &segment{base: base, size: next - base, file: file}, nil
}

func (d directory) openFile(base int64) (*os.File, int64, error) {
	file, err := os.OpenFile(d.path(base), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil {
		err = file.Chmod(0o600)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}
