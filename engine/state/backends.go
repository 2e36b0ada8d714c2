package state

import (
	"os"
	"path/filepath"
)

// UsedBackend reports whether bottles may have been made on a backend. An older
// bb kept no record of that: where one was at work, all may have been.
func (s *State) UsedBackend(name string) bool {
	if _, err := os.Stat(s.BackendFile(name)); err == nil {
		return true
	}
	if _, err := os.Stat(s.backends()); err == nil {
		return false
	}
	_, err := os.Stat(filepath.Dir(s.scopeFile("any")))
	return err == nil
}

// MarkBackends notes that bottles are made on these backends: before the first
// of them is, and before the scope is remembered.
func (s *State) MarkBackends(names ...string) error {
	if err := os.MkdirAll(s.backends(), 0o700); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := os.Stat(s.BackendFile(name)); err == nil {
			continue
		}
		if err := WriteFile(s.BackendFile(name), nil); err != nil {
			return err
		}
	}
	return nil
}

// BackendFile is the record of one backend. Removing it forgets the backend.
func (s *State) BackendFile(name string) string { return filepath.Join(s.backends(), name) }

func (s *State) backends() string { return filepath.Join(s.Dir, "backends") }
