package plan

import (
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/spec"
)

// names are all that bb computes for an instance, in the order of its removal.
func names(id spec.ID) []string {
	return []string{id.Name(), id.Sidecar(), id.DoorVolume(), id.CAVolume()}
}

// takenNames maps backend and name to what is there and is not ours.
type takenNames map[[2]string]Foreign

func taken(worlds []World) takenNames {
	t := takenNames{}
	for _, w := range worlds {
		for _, f := range w.Foreign {
			t[[2]string{w.Backend, f.Name}] = f
		}
	}
	return t
}

// by returns the first foreign resource that has one of the names.
func (t takenNames) by(backend string, names ...string) (Foreign, bool) {
	for _, n := range names {
		if f, ok := t[[2]string{backend, n}]; ok {
			return f, true
		}
	}
	return Foreign{}, false
}

// removals are the operations that take an instance away, without those that
// would meet a foreign resource: what is ours beside it still goes.
func (t takenNames) removals(id spec.ID, backend string) []Op {
	var ops []Op
	for _, r := range []struct {
		op    Op
		names []string
	}{
		{OpRemoveAgent, []string{id.Name()}},
		{OpRemoveSidecar, []string{id.Sidecar()}},
		{OpRemoveVolumes, []string{id.DoorVolume(), id.CAVolume()}},
	} {
		if _, other := t.by(backend, r.names...); !other {
			ops = append(ops, r.op)
		}
	}
	return ops
}

// spare says what of a removal is left alone, and blocks one of which nothing
// remains to do.
func (t takenNames) spare(c Change, o Instance) Change {
	f, other := t.by(o.Backend, names(o.ID)...)
	if c.Action != Remove || !other {
		return c
	}
	ops := t.removals(o.ID, o.Backend)
	if o.Agent != nil && slices.Contains(ops, OpRemoveAgent) || o.Sidecar != nil && slices.Contains(ops, OpRemoveSidecar) ||
		len(o.Leftovers) > 0 && slices.Contains(ops, OpRemoveVolumes) {
		c.Note = strings.TrimSuffix(f.String()+": left alone; "+c.Note, "; ")
		return c
	}
	c.Action, c.Reasons, c.Kept = Blocked, []Reason{ForeignOwner}, false
	c.Note = f.String() + ": rename or remove it yourself"
	return c
}
