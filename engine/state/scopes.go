package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// RememberScope keeps the directory that a scope's id was made of: the id
// alone does not tell it. One file a scope, so that two commands never lose
// each other's.
func (s *State) RememberScope(id, dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if known, err := s.ScopeDir(id); err == nil && known == dir {
		return nil
	}
	path := s.scopeFile(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return WriteFile(path, []byte(dir+"\n"))
}

// ScopeDir is the directory of a scope; fs.ErrNotExist when none was kept.
func (s *State) ScopeDir(id string) (string, error) {
	b, err := os.ReadFile(s.scopeFile(id))
	return strings.TrimSuffix(string(b), "\n"), err
}

// ForgetScope drops the record of a scope that has no bottles any more.
func (s *State) ForgetScope(id string) {
	_ = os.Remove(s.scopeFile(id)) // one more line of litter harms nobody
}

// ScopeGone says why nothing declares the bottles of a scope any more, or "".
func (s *State) ScopeGone(id string) string {
	dir, err := s.ScopeDir(id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "nothing is known of where it was declared"
	case err != nil:
		return "" // not known is not gone
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return dir + " is gone"
	}
	return ""
}

func (s *State) scopeFile(id string) string { return filepath.Join(s.Dir, "scopes", id) }
