package plan

import "slices"

// Destroy plans the removal of every instance of the scopes, or of the named
// agents' instances only. Names are agents or instances: "dev" or "dev_2".
func Destroy(worlds []World, scopes, names []string) *Plan {
	return Removal(worlds, func(o Instance) Reason {
		if !slices.Contains(scopes, o.ID.Scope) {
			return ""
		}
		if len(names) > 0 && !slices.Contains(names, o.ID.Agent) && !slices.Contains(names, o.ID.String()) {
			return ""
		}
		return Requested
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
