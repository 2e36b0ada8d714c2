package hostside

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// programPrefix begins the names of the copies of bb that sidecars run: the
// rest names their content.
const programPrefix = "bb-"

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

// at is where the program of an image lies.
func (s *Sidecars) at(image string) string { return filepath.Join(s.opts.Dir, filepath.Base(image)) }

// program puts a copy of bb in place, whole or not at all.
func (s *Sidecars) program(image string) error {
	to := s.at(image)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	from, err := os.Open(s.opts.Self)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.CreateTemp(s.opts.Dir, ".bb-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Chmod(0o500), f.Close()); err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// sweep removes the copies that no sidecar was made of. What cannot be removed
// now is removed the next time.
func (s *Sidecars) sweep() {
	entries, err := os.ReadDir(s.opts.Dir)
	if err != nil {
		return
	}
	used := map[string]bool{s.Image(): true}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		var r record
		err := read(filepath.Join(s.opts.Dir, e.Name(), recordFile), &r)
		if gone(err) != nil {
			return // it could be of any
		}
		used[r.Image] = true
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, programPrefix) && !used[name] {
			_ = os.Remove(s.at(name))
		}
	}
}
