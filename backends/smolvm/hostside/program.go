package hostside

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// programPrefix begins the names of the copies of bb that sidecars run: the
// rest names their content, and how it confines itself.
const programPrefix = "bb-"

func named(sum hash.Hash) string {
	return programPrefix + hex.EncodeToString(sum.Sum(nil)[:6]) + "-" + confinement
}

// imageOf is what a program is named as the sidecar that it makes.
func imageOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return named(sum), nil
}

// at is where the program of an image lies.
func (s *Sidecars) at(image string) string { return filepath.Join(s.opts.Dir, filepath.Base(image)) }

// program puts a copy of bb in place, whole or not at all, unless it is there.
// What an image of another bb was made of, nobody has any more.
func (s *Sidecars) program(id spec.ID, image string) error {
	to := s.at(image)
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if image != s.Image() {
		return diag.Errorf("the sidecar of %s is of another bb, whose program is gone", id).WithHint("'bb apply' replaces it")
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
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), from)
	if err == nil && named(sum) != image { // bb was installed anew since it began
		err = diag.Errorf("bb is not the program any more that it was when it began").WithHint("run it again")
	}
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
