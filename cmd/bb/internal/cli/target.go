package cli

import (
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/spec"
)

// means are the instances that a name on a command line stands for, of those
// that exist: an agent's or one instance's. As in a plan, an agent of the
// repository hides the home one, which "home/NAME" means.
func (s scopes) means(name string, exist []spec.ID) []spec.ID {
	bare, home := strings.CutPrefix(name, "home/")
	in := func(scope string) []spec.ID {
		return slices.DeleteFunc(slices.Clone(exist), func(id spec.ID) bool {
			return id.Scope != scope || id.Agent != bare && id.String() != bare
		})
	}
	if !home && s.repo != "" {
		if list := in(s.repo); len(list) > 0 {
			return list
		}
	}
	return in(s.home)
}

// one is the instance of exactly that name.
func (s scopes) one(name string, exist []spec.ID) (spec.ID, bool) {
	for _, id := range s.means(name, exist) {
		if id.String() == strings.TrimPrefix(name, "home/") {
			return id, true
		}
	}
	return spec.ID{}, false
}
