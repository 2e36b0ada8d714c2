// Package fake is a driver without an engine: its world is one JSON file. It
// serves the engine's tests and `--backend fake` in scripts; it keeps the same
// promises as a real driver, and the conformance suite holds it to them.
package fake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
)

// File is the world as it is kept on disk. Tests may write it by hand.
type File struct {
	Containers map[string]*Container `json:"containers"`
	Volumes    map[string]*Volume    `json:"volumes"`
	// Images lists what was built or is there to be taken.
	Images []string `json:"images"`
	// SharedNetwork is "", "ours" or "foreign".
	SharedNetwork string `json:"shared_network,omitempty"`
	// Faults makes an operation fail with a message, by name of operation or
	// by "operation instance".
	Faults map[string]string `json:"faults,omitempty"`
	// Root is a directory that stands for the files of bottles without one of
	// their own.
	Root string `json:"root,omitempty"`
	// Orphans are shared resources that nothing uses.
	Orphans []backends.Orphan `json:"orphans,omitempty"`
	// Next numbers the containers.
	Next int `json:"next"`
}

// Container is an agent or a sidecar.
type Container struct {
	Ref     string            `json:"ref"`
	Labels  map[string]string `json:"labels"`
	Running bool              `json:"running"`
	// Paused is what somebody did to it; it does not run then. Created is in unix
	// seconds. Tests write both.
	Paused  bool  `json:"paused,omitempty"`
	Created int64 `json:"created,omitempty"`
	// State and Document are a running sidecar's.
	State    *egress.StateLine `json:"state,omitempty"`
	Document *egress.Document  `json:"document,omitempty"`
	// Access and Pushes are lines of a sidecar's logs. Tests write them.
	Access []json.RawMessage `json:"access,omitempty"`
	Pushes []json.RawMessage `json:"pushes,omitempty"`
	// Control is the control socket of a real sidecar. Tests write it.
	Control string `json:"control,omitempty"`
	// Workspace is what of the host an agent got: "copy DIR at PATH". Root is a
	// directory that stands for the bottle's files: bb cp works on it.
	Workspace string `json:"workspace,omitempty"`
	Root      string `json:"root,omitempty"`
	// Files and Env are what was placed in an agent, by path and name.
	Files []string `json:"files,omitempty"`
	Env   []string `json:"env,omitempty"`
	// Git is the agent's global configuration of git, as far as bb set it: a
	// key's values.
	Git map[string][]string `json:"git,omitempty"`
	// Inside holds the hashes of the live parts that were done in an agent.
	Inside map[string]string `json:"inside,omitempty"`
	// Attached names sessions that live. Tests write it.
	Attached []string `json:"attached,omitempty"`
	// Sessions is how many commands run in an agent; Altered is what somebody
	// did to it by hand. Tests write both.
	Sessions int      `json:"sessions,omitempty"`
	Altered  []string `json:"altered,omitempty"`
}

// Volume is a named volume.
type Volume struct {
	Labels map[string]string `json:"labels"`
}

// store reads and writes the file; one process at a time is enough for tests.
type store struct {
	mu   sync.Mutex
	path string
	// memory is the world where there is no path.
	memory []byte
}

// view runs f on the world; update also writes it back, atomically.
func (s *store) view(f func(*File) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.read()
	if err != nil {
		return err
	}
	return f(w)
}

func (s *store) update(f func(*File) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.read()
	if err != nil {
		return err
	}
	if err := f(w); err != nil {
		return err
	}
	b, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return err
	}
	if s.path == "" {
		s.memory = b
		return nil
	}
	tmp := s.path + ".new"
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, s.path)
}

func (s *store) read() (*File, error) {
	w := &File{Containers: map[string]*Container{}, Volumes: map[string]*Volume{}}
	b, err := s.memory, error(nil)
	if s.path != "" {
		b, err = os.ReadFile(s.path)
	}
	if s.path == "" && b == nil || errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, w); err != nil {
		return nil, fmt.Errorf("fake world %s: %w", filepath.Base(s.path), err)
	}
	return w, nil
}

func (w *File) fault(op, instance string) error {
	for _, key := range []string{op + " " + instance, op} {
		if m, ok := w.Faults[key]; ok {
			return errors.New(m)
		}
	}
	return nil
}
