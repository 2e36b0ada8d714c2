package plan

import (
	"fmt"
	"slices"
	"strings"
)

// String renders one node: "[1 2] -> #3 docker reviewer create_agent, not_found".
func (n Node) String() string {
	parts := ""
	if len(n.Parts) > 0 && !slices.Equal(n.Parts, allParts) {
		parts = " (" + strings.Join(n.Parts, " ") + ")"
	}
	return fmt.Sprintf("%v -> #%d %s %s %s%s, %s", n.DependsOn, n.ID, n.Backend, n.subject(), n.Op, parts, n.Cause)
}

// Resource names what a node works on, for errors and events.
func (n Node) Resource() string {
	switch n.Op {
	case OpPrepare:
		return n.Backend
	case OpEnsureImage:
		return "image " + n.subject()
	}
	return n.Instance.String()
}
