package plan

import (
	"slices"

	"github.com/bot-bottle/bb/engine/spec"
)

// Halt plans that these instances stop and stay. What does not run is left as
// it is, and counted.
func Halt(worlds []World, ids []spec.ID) *Plan {
	p := &Plan{}
	for _, w := range sorted(worlds) {
		for _, o := range w.Instances {
			if !slices.Contains(ids, o.ID) {
				continue
			}
			if !o.Up() {
				p.Unchanged++
				continue
			}
			c := Change{ID: o.ID, Backend: o.Backend, Action: Stop, Reasons: []Reason{Requested}}
			c.identify(nil, []Instance{o}, w)
			p.Changes = append(p.Changes, c)
		}
	}
	p.sort()
	schedule(p, nil, nil)
	return p
}

// Up reports whether anything of the instance runs, lingers or is only paused.
func (o Instance) Up() bool {
	return slices.ContainsFunc([]*Part{o.Agent, o.Sidecar}, func(p *Part) bool { return p != nil && (p.Running || p.Paused || p.Lingers) })
}

// Halted reports whether all of it is there and nothing runs: as a stop leaves it.
func (o Instance) Halted() bool { return o.Agent != nil && o.Sidecar != nil && !o.Up() }
