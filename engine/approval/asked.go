package approval

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/lock"
	"github.com/bot-bottle/bb/engine/spec"
)

// maxAsked is how much of what an instance asked is kept, and maxAskedAll of what
// all those of an agent did: an agent can ask without end, and takes away nothing
// of another's. What people decided about is in the record anyway.
const (
	maxAsked    = 64
	maxAskedAll = 16 * maxAsked
)

// askedWait is how long another bb may take to keep what it heard.
const askedWait = 5 * time.Second

func (s Store) asked(id spec.ID) string {
	return filepath.Join(s.Dir, "asked-"+id.Scope+"-"+id.Agent+".json")
}

// KeepAsked keeps proposals of an instance that are not kept yet, the last of each:
// they outlive the sidecar that told of them.
func (s Store) KeepAsked(ctx context.Context, id spec.ID, list []egress.Proposal) (err error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return diag.Cause(err)
	}
	held, err := lock.Acquire(ctx, s.Dir, "asked", "keeping what was asked", askedWait, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	all, err := s.Asked(id)
	if err != nil {
		return err
	}
	before := len(all)
	for _, p := range list {
		if !slices.ContainsFunc(all, func(r Record) bool { return r.Proposal.ID == p.ID }) {
			all = append(all, Record{Time: p.Created.UTC(), Event: AskedFor, Instance: id.Name(), Proposal: &p})
		}
	}
	if len(all) == before {
		return nil
	}
	all = lastOf(all, id.Name())
	b, err := json.Marshal(all[max(0, len(all)-maxAskedAll):])
	if err != nil {
		return err
	}
	path := s.asked(id)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return diag.Cause(err)
	}
	return os.Rename(path+".new", path)
}

// lastOf leaves out the oldest of one instance, where it has too many.
func lastOf(all []Record, instance string) []Record {
	n := 0
	for _, r := range all {
		if r.Instance == instance {
			n++
		}
	}
	return slices.DeleteFunc(all, func(r Record) bool {
		if r.Instance != instance || n <= maxAsked {
			return false
		}
		n--
		return true
	})
}

// Asked returns what is kept of what an agent asked, oldest first.
func (s Store) Asked(id spec.ID) ([]Record, error) {
	path := s.asked(id)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diag.Cause(err)
	}
	var all []Record
	if json.Unmarshal(b, &all) != nil || slices.ContainsFunc(all, func(r Record) bool { return r.Proposal == nil }) {
		return nil, diag.Errorf("%s is damaged", path).WithHint("remove it: what was decided is kept beside it")
	}
	return all, nil
}

// History returns what an agent asked and what people decided about it, oldest
// first.
func (s Store) History(id spec.ID) ([]Record, error) {
	asked, err := s.Asked(id)
	if err != nil {
		return nil, err
	}
	decided, err := s.Records(id)
	all := append(asked, decided...)
	slices.SortStableFunc(all, func(a, b Record) int { return a.Time.Compare(b.Time) })
	return all, err
}
