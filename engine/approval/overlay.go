// Package approval keeps what people answered: for each instance the routes and
// values that were approved, which are state and no drift, and for each agent the
// record of who decided what. It lies below bb's state directory, out of every
// bottle's reach.
package approval

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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

const approvedSource = "approved "

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
	Word
}

// Value is an approved value: see egress.ApprovedValue.
type Value struct {
	Value egress.ApprovedValue `json:"value"`
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

// Remove forgets an instance's overlay. The record stays.
func (s Store) Remove(id spec.ID) error {
	if err := os.Remove(s.overlay(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diag.Cause(err)
	}
	return nil
}

// Live is what of an overlay is in force.
func (o Overlay) Live(now time.Time) Overlay {
	o.Routes = slices.DeleteFunc(slices.Clone(o.Routes), func(e Entry) bool { return e.Route.Expired(now) })
	o.Values = slices.DeleteFunc(slices.Clone(o.Values), func(v Value) bool {
		return !v.Value.Expires.IsZero() && !now.Before(v.Value.Expires)
	})
	return o
}

// Allowed are the approved routes alone.
func (o Overlay) Allowed() (out []egress.Route) {
	for _, e := range o.Routes {
		out = append(out, e.Route)
	}
	return out
}

// Apply puts an overlay onto the live half of a spec. What ended is put there too,
// where it allows nothing: so the end of an approval changes no bottle, and is
// no drift. The next approval leaves it out.
func (o Overlay) Apply(live *spec.Live) error {
	merged, err := egress.Approve(live.Routes, o.Allowed(), time.Time{}) // when nothing has ended
	if err != nil {
		return diag.Errorf("what was approved does not fit: %v", err).WithHint("bb supervise revoke takes it back")
	}
	live.Routes = merged
	for _, v := range o.Values {
		live.Values = append(live.Values, v.Value)
	}
	return nil
}

// Approve adds a route to what is in force, for so long; zero means for good.
// The route says when it was approved, and until when, for people.
func (o Overlay) Approve(r egress.Route, w Word, lasts time.Duration) Overlay {
	o = o.Live(w.At)
	r.Source, r.Expires = approvedSource+w.At.Local().Format("15:04"), time.Time{}
	if lasts > 0 {
		r.Expires = w.At.Add(lasts).Truncate(time.Second)
		r.Source += ", expires " + r.Expires.Local().Format("15:04")
	}
	o.Routes = append(o.Routes, Entry{Route: r, Word: w})
	return o
}

// ApproveHeld adds the values of a request that was held, for so long; zero means
// for good.
func (o Overlay) ApproveHeld(h egress.HeldValue, w Word, lasts time.Duration) Overlay {
	o = o.Live(w.At)
	for _, d := range h.Digests {
		v := egress.ApprovedValue{Digest: d, Host: h.Host, Port: h.Port}
		if lasts > 0 {
			v.Expires = w.At.Add(lasts).Truncate(time.Second)
		}
		o.Values = append(o.Values, Value{Value: v, Word: w})
	}
	return o
}

// Revoke takes back what a proposal was approved as; "" takes back all. It
// returns what is left and how many went.
func (o Overlay) Revoke(proposal string) (Overlay, int) {
	before := len(o.Routes) + len(o.Values)
	gone := func(w Word) bool { return proposal == "" || w.Proposal == proposal }
	o.Routes = slices.DeleteFunc(slices.Clone(o.Routes), func(e Entry) bool { return gone(e.Word) })
	o.Values = slices.DeleteFunc(slices.Clone(o.Values), func(v Value) bool { return gone(v.Word) })
	return o, before - len(o.Routes) - len(o.Values)
}

// Is reports whether a route of a spec is one that was approved: manifests and
// providers give their routes other sources.
func Is(r egress.Route) bool { return strings.HasPrefix(r.Source, approvedSource) }
