package egress

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Ref is a token reference taken apart; one of its fields is set.
type Ref struct {
	// Variable is the name of a host variable.
	Variable string
	// File is an absolute path, or begins with "~/".
	File string
	// Key is the absolute path of a private key, or begins with "~/". Its value
	// has many lines.
	Key string
	// Command is an argument list.
	Command []string
}

// ParseRef takes a reference apart: NAME, "file:PATH", "key:PATH", or "command:" with the
// argument list as JSON.
func ParseRef(ref string) Ref {
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		return Ref{File: path}
	}
	if path, ok := strings.CutPrefix(ref, "key:"); ok {
		return Ref{Key: path}
	}
	if argv, ok := strings.CutPrefix(ref, "command:"); ok {
		r := Ref{}
		if json.Unmarshal([]byte(argv), &r.Command) == nil && len(r.Command) > 0 {
			return r
		}
	}
	return Ref{Variable: ref}
}

// String is the reference in words for people: "$NAME", "file ~/x", "command
// pass (2 arguments)". Arguments may be secrets, so they are only counted.
func (r Ref) String() string {
	switch {
	case r.File != "":
		return "file " + r.File
	case r.Key != "":
		return "key " + r.Key
	case len(r.Command) == 1:
		return "command " + r.Command[0]
	case len(r.Command) == 2:
		return "command " + r.Command[0] + " (1 argument)"
	case len(r.Command) > 2:
		return fmt.Sprintf("command %s (%d arguments)", r.Command[0], len(r.Command)-1)
	}
	return "$" + r.Variable
}
