package cli

import (
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

// shortest is how much of an id names it: less would name the only one that waits
// whatever was meant, and nothing at all is a variable that is not set.
const shortest = 4

// oneID is the id that begins with name; what says what the ids are of. One that is
// there twice is two: a sidecar may have told of another's.
func oneID(name string, ids []string, what, hint string) (string, error) {
	if len(name) < shortest || strings.Trim(name, "0123456789abcdef") != "" {
		return "", diag.Errorf("%q is no id of a proposal", name).WithHint("name at least %d of its hex digits, as bb supervise prints them", shortest)
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !strings.HasPrefix(id, name) })
	switch len(ids) {
	case 0:
		return "", diag.Errorf("nothing that %s is called %s", what, name).WithHint("%s", hint)
	case 1:
		return ids[0], nil
	}
	return "", diag.Errorf("%d proposals begin with %s", len(ids), name).WithHint("name more of the one")
}
