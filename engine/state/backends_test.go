package state

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBackendsThatWereUsed(t *testing.T) {
	used := func(s *State) (list []string) {
		for _, name := range []string{"docker", "smolvm"} {
			if s.UsedBackend(name) {
				list = append(list, name)
			}
		}
		return list
	}
	for _, tt := range []struct {
		what string
		do   func(*State) error
		want int
	}{
		{"nothing was made yet", func(*State) error { return nil }, 0},
		{"one was used", func(s *State) error { return s.MarkBackends("docker", "docker") }, 1},
		{"an older bb was at work", func(s *State) error { return os.MkdirAll(filepath.Join(s.Dir, "scopes"), 0o700) }, 2},
		{"this bb was at work", func(s *State) error {
			if err := s.MarkBackends("docker"); err != nil {
				return err
			}
			return os.MkdirAll(filepath.Join(s.Dir, "scopes"), 0o700)
		}, 1},
		{"it was forgotten", func(s *State) error {
			if err := s.MarkBackends("docker"); err != nil {
				return err
			}
			return os.Remove(s.BackendFile("docker"))
		}, 0},
	} {
		s, err := Open(t.TempDir())
		if err == nil {
			err = tt.do(s)
		}
		if got := used(s); err != nil || len(got) != tt.want {
			t.Errorf("%s: %v, %v", tt.what, got, err)
		}
	}
}
