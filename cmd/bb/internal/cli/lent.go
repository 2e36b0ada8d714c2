package cli

import (
	"slices"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// lapsed are the problems with what this machine lends to bottles that need no
// change otherwise: their sidecars hold a login that may have ended too.
func (p *planning) lapsed() diag.List {
	changes := map[spec.ID]bool{}
	for _, c := range p.plan.Changes {
		changes[c.ID] = true
	}
	var problems diag.List
	for _, s := range p.specs {
		for _, d := range p.desire.Stops[s.ID.Name()] {
			if !changes[s.ID] && !slices.Contains(problems, d) { // replicas say the same
				problems = append(problems, d)
			}
		}
	}
	return problems
}
