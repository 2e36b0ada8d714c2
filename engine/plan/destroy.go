package plan

import (
	"cmp"
	"slices"
)

// Destroy plans the removal of every instance of the scopes, or of the named
// agents' instances only. Names are agents or instances: "dev" or "dev_2".
func Destroy(worlds []World, scopes, names []string) *Plan {
	p := &Plan{}
	for _, w := range worlds {
		for _, o := range w.Instances {
			if !slices.Contains(scopes, o.ID.Scope) {
				continue
			}
			if len(names) > 0 && !slices.Contains(names, o.ID.Agent) && !slices.Contains(names, o.ID.String()) {
				continue
			}
			p.Changes = append(p.Changes, Change{
				ID: o.ID, Backend: o.Backend, Action: Remove, Reasons: []Reason{Requested},
				Note: lostWork(Remove, &o),
			})
		}
	}
	slices.SortFunc(p.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.ID.String(), b.ID.String()), cmp.Compare(a.Backend, b.Backend))
	})
	schedule(p, nil)
	return p
}
