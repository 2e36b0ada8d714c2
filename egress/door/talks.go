package door

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// BeganFile is as old as this life of the bottle: the first process makes it, in
// memory.
const BeganFile = "/run/bb/began"

// began marks the beginning. A bottle without it runs all the same.
func began(file string) {
	_ = os.Remove(file)
	if f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400); err == nil {
		_ = f.Close()
	}
}

// Talk says when something was last said in a bottle, and when this life of it
// began: nanoseconds since 1970, 0 where that is not known.
type Talk struct {
	Last  int64 `json:"last"`
	Began int64 `json:"began"`
}

// maxTalks bounds the files that are looked at: the agent makes them.
const maxTalks = 20_000

// Talks looks for the newest conversation below dir: a regular file whose path
// from there matches pattern, or any where that is "".
func Talks(dir, pattern string) (Talk, error) { return talks(dir, pattern, BeganFile, maxTalks) }

func talks(dir, pattern, beganFile string, most int) (t Talk, err error) {
	if info, err := os.Lstat(beganFile); err == nil && info.Mode().IsRegular() {
		t.Began = info.ModTime().UnixNano()
	}
	n := 0
	err = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if n++; n > most {
			return fmt.Errorf("more than %d files", most)
		}
		if err != nil || !e.Type().IsRegular() {
			return nil // what cannot be looked at is no conversation
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if ok, err := path.Match(pattern, filepath.ToSlash(rel)); err != nil || pattern != "" && !ok {
			return err
		}
		if info, err := e.Info(); err == nil && info.Size() > 0 {
			t.Last = max(t.Last, info.ModTime().UnixNano())
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return t, err
}
