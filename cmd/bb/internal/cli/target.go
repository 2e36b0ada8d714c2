package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// firstReplica is what makes a name mean an agent's first bottle and no other:
// "dev" is the agent, in "dev_1" there is no doubt.
const firstReplica = "_1"

// bottleName is a name on a command line as spec.ID.String has it, for commands
// that mean one bottle.
func bottleName(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "home/"), firstReplica)
}

// exactName is the name that means this bottle alone, in every command.
func exactName(id spec.ID) string {
	if id.String() == id.Agent {
		return id.Agent + firstReplica
	}
	return id.String()
}

// means are the instances that a name on a command line stands for, of those
// that exist: an agent's or one instance's. As in a plan, an agent of the
// repository hides the home one, which "home/NAME" means.
func (s scopes) means(name string, exist []spec.ID) []spec.ID {
	bare, home := strings.CutPrefix(name, "home/")
	in := func(scope string) []spec.ID {
		return slices.DeleteFunc(slices.Clone(exist), func(id spec.ID) bool {
			return id.Scope != scope || id.Agent != bare && exactName(id) != bare
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
		if id.String() == bottleName(name) {
			return id, true
		}
	}
	return spec.ID{}, false
}

// named are the instances that several names stand for, and the names that stand
// for nothing.
func (s scopes) named(names []string, exist []spec.ID) (found []spec.ID, unknown []string) {
	for _, name := range names {
		list := s.means(name, exist)
		if len(list) == 0 {
			unknown = append(unknown, name)
		}
		found = append(found, list...)
	}
	return found, unknown
}

// unknownBottle says that names stand for nothing, and what there is.
func unknownBottle(names, known []string) error {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	text := "no bottle " + quoted[0] + " runs"
	if len(names) > 1 {
		text = "no bottles " + strings.Join(quoted, ", ") + " run"
	}
	d := diag.Errorf("%s", text)
	if len(known) == 0 {
		return d.WithHint("none does; bb list shows what is declared, bb apply brings it up")
	}
	if s := diag.Suggest(names[0], known); s != "" && len(names) == 1 {
		return d.WithHint("did you mean %q?", s)
	}
	return d.WithHint("there are: %s; bb apply brings up what is declared (bb list), bb start --resume one that was stopped", strings.Join(known, ", "))
}
