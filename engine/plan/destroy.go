package plan

import (
	"slices"

	"github.com/bot-bottle/bb/engine/spec"
)

// Destroy plans the removal of these instances.
func Destroy(worlds []World, ids []spec.ID) *Plan {
	return Removal(worlds, func(o Instance) Reason {
		if slices.Contains(ids, o.ID) {
			return Requested
		}
		return ""
	})
}

// Removal plans the removal of every instance that why has a reason for.
func Removal(worlds []World, why func(Instance) Reason) *Plan {
	p := &Plan{}
	worlds = sorted(worlds)
	taken := taken(worlds)
	for _, w := range worlds {
		for _, o := range w.Instances {
			reason := why(o)
			if reason == "" {
				continue
			}
			c := Change{
				ID: o.ID, Backend: o.Backend, Action: Remove, Reasons: []Reason{reason},
				Note: lostWork(Remove, &o),
			}
			c = taken.spare(c, o)
			c.identify(nil, []Instance{o}, w)
			p.Changes = append(p.Changes, c)
		}
	}
	p.sort()
	schedule(p, nil, taken)
	return p
}

// Undo plans the removal of what a failed creation left of these changes.
func Undo(changes []Change) *Plan {
	p := &Plan{}
	for _, c := range changes {
		p.Changes = append(p.Changes, Change{ID: c.ID, Backend: c.Backend, Action: Remove, Reasons: []Reason{HalfMade}})
	}
	schedule(p, nil, nil)
	return p
}
