package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Allowed are the approved agents of repositories: the digest of the file and
// its bottle, by scope and agent. A file that changed asks again.
type Allowed map[string]string

func allowedKey(scope, agent string) string { return scope + "/" + agent }

// Has reports whether this very content was approved.
func (a Allowed) Has(scope, agent, digest string) bool {
	return digest != "" && a[allowedKey(scope, agent)] == digest
}

// ReadAllowed returns the approvals; a file that is not there holds none.
func (s *State) ReadAllowed() (Allowed, error) {
	b, err := os.ReadFile(s.allowedFile())
	if errors.Is(err, fs.ErrNotExist) {
		return Allowed{}, nil
	}
	a := Allowed{}
	if err != nil || json.Unmarshal(b, &a) != nil {
		return nil, damaged(s.allowedFile())
	}
	return a, nil
}

// Allow records an approval. The caller holds the scope's lock or does not
// mind that the last of two at once wins.
func (s *State) Allow(scope, agent, digest string) error {
	a, err := s.ReadAllowed()
	if err != nil {
		return err
	}
	a[allowedKey(scope, agent)] = digest
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(s.allowedFile(), append(b, '\n'))
}

func (s *State) allowedFile() string { return filepath.Join(s.Dir, "allowed.json") }
