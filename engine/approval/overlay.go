// Package approval keeps what people answered: for each instance the routes and
// values that were approved, which are state and no drift, and for each agent the
// record of who decided what. It lies below bb's state directory, out of every
// bottle's reach.
package approval

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// DefaultTime is how long an approval lasts unless somebody says otherwise.
const DefaultTime = 4 * time.Hour

// maxEntries bounds the overlay of one instance.
const maxEntries = 256

const version = 1

// Overlay is what was approved for one instance.
type Overlay struct {
	Version  int     `json:"version"`
	Instance string  `json:"instance"`
	Routes   []Entry `json:"routes,omitempty"`
	Values   []Value `json:"values,omitempty"`
}

// Entry is an approved route. Its login is the manifest's: see egress.Approve.
type Entry struct {
	Route egress.Route `json:"route"`
	// Auth is the login that the manifest had for the host when a person said yes,
	// with its reference and without a slot; nil is none.
	Auth *egress.Auth `json:"auth,omitempty"`
	Word
}

// Value is an approved value: see egress.ApprovedValue.
type Value struct {
	Value egress.ApprovedValue `json:"value"`
	// What says what it looked like, and where: "GitHub token in the body".
	What string `json:"what,omitempty"`
	Word
}

// Word is who approved what, when, and why.
type Word struct {
	Proposal string    `json:"proposal"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Why      string    `json:"why,omitempty"`
}

// Store keeps overlays and records in one directory.
type Store struct {
	// Dir is below the state directory; made 0700 when it is missing.
	Dir string
}

func (s Store) overlay(id spec.ID) string { return filepath.Join(s.Dir, id.Name()+".json") }

// Read returns an instance's overlay, the zero one where there is none.
func (s Store) Read(id spec.ID) (Overlay, error) {
	o := Overlay{Version: version, Instance: id.Name()}
	path := s.overlay(id)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, diag.Cause(err)
	}
	var found Overlay
	if json.Unmarshal(b, &found) != nil || found.Instance != id.Name() {
		return o, diag.Errorf("%s is damaged", path).WithHint("remove it: what was approved for %s is refused again then", id)
	}
	if found.Version != version {
		return o, diag.Errorf("%s is of another bb (version %d)", path, found.Version).WithHint("use that bb, or remove the file")
	}
	return found, nil
}

// Write replaces an instance's overlay, whole; an empty one is removed.
func (s Store) Write(id spec.ID, o Overlay) error {
	if len(o.Routes)+len(o.Values) == 0 {
		return s.Remove(id)
	}
	if n := len(o.Routes) + len(o.Values); n > maxEntries {
		return diag.Errorf("%s has %d approvals, at most %d", id, n, maxEntries).
			WithHint("bb supervise promote %s prints them for its manifest; bb supervise revoke takes them back", id)
	}
	o.Version, o.Instance = version, id.Name()
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return diag.Cause(err)
	}
	path := s.overlay(id)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return diag.Cause(err)
	}
	return os.Rename(path+".new", path)
}

// List returns the instances of a scope of which something is approved, by name.
func (s Store) List(scope string) ([]spec.ID, error) {
	found, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diag.Cause(err)
	}
	var out []spec.ID
	for _, f := range found {
		bare, _ := strings.CutPrefix(f.Name(), "bb-")
		bare, _ = strings.CutSuffix(bare, "-"+scope[:6]+".json")
		agent, replica, _ := strings.Cut(bare, "_")
		id := spec.ID{Scope: scope, Agent: agent, Replica: cmp.Or(replica, "1")}
		if filepath.Base(s.overlay(id)) == f.Name() {
			out = append(out, id)
		}
	}
	return out, nil
}

// Remove forgets an instance's overlay. The record stays.
func (s Store) Remove(id spec.ID) error {
	if err := os.Remove(s.overlay(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diag.Cause(err)
	}
	return nil
}
