package hostside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

var homeName = regexp.MustCompile(`^[0-9a-f]{12}$`)

// isHome reports whether an entry of the directory of all is one of bb's making.
func isHome(dir string, e fs.DirEntry) bool {
	if !e.IsDir() || !homeName.MatchString(e.Name()) {
		return false
	}
	for _, name := range []string{instanceFile, recordFile, processFile, lockFile} {
		if _, err := os.Lstat(filepath.Join(dir, e.Name(), name)); err == nil {
			return true
		}
	}
	return false
}

// Orphans are directories that name no instance, or another than theirs: by a
// bb that did not live to go on, or by damage. A sidecar may run in one.
func (s *Sidecars) Orphans(context.Context) ([]backends.Orphan, error) {
	entries, err := os.ReadDir(s.opts.Dir)
	if gone(err) != nil {
		return nil, err
	}
	var out []backends.Orphan
	for _, e := range entries {
		h := home(filepath.Join(s.opts.Dir, e.Name()))
		if !isHome(s.opts.Dir, e) || !s.lost(h) {
			continue
		}
		o := backends.Orphan{Kind: "sidecar", Name: e.Name(), Ref: string(h), Why: "its directory does not say which bottle it is of"}
		if all, err := alive(h); err != nil {
			return nil, err
		} else if len(all) > 0 {
			o.Why += fmt.Sprintf("; process %d runs", all[0])
		}
		out = append(out, o)
	}
	return out, nil
}

func (s *Sidecars) nameless(h home) bool {
	var id spec.ID
	return read(h.file(instanceFile), &id) != nil || s.home(id) != h
}

// lost reports whether a directory has no owner, and nobody is just giving it one.
func (s *Sidecars) lost(h home) bool {
	if !s.nameless(h) {
		return false
	}
	f, err := os.OpenFile(h.file(lockFile), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// RemoveOrphan ends what runs there, and removes it, if it still is one.
func (s *Sidecars) RemoveOrphan(ctx context.Context, o backends.Orphan) error {
	all, err := s.Orphans(ctx)
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.Ref != o.Ref {
			continue
		}
		h := home(x.Ref)
		unlock, err := hold(ctx, h)
		if err != nil {
			return err
		}
		defer unlock()
		if !s.nameless(h) { // since a moment ago
			break
		}
		if err := end(ctx, h); err != nil {
			return err
		}
		return wipe(h)
	}
	if _, err := os.Lstat(o.Ref); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return diag.Errorf("%s %s is in use, or not what it was", o.Kind, o.Name).WithHint("'bb cleanup' lists what is left")
}

// wipe removes what is left of an instance. Whose it is goes last: what a killed
// bb leaves is found again.
func wipe(h home) error {
	entries, err := os.ReadDir(string(h))
	for _, e := range entries {
		if e.Name() != instanceFile {
			err = errors.Join(err, os.RemoveAll(h.file(e.Name())))
		}
	}
	if gone(err) != nil {
		return err
	}
	return os.RemoveAll(string(h))
}
