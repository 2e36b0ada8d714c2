package manifest

import (
	"slices"
	"strings"
)

// unsupported lists what the language knows and this release does not do yet.
// An issue that delivers one of them deletes its line.
var unsupported = []struct {
	path string // "*" stands for any key or item
	when func(*node) bool
}{
	{"supervise", (*node).isTrue},
	{"backend", is("smolvm")},
	{"resources.disk", present},
}

// checkSupported reports each use of something unsupported at its key.
func (f *file) checkSupported() {
	for _, u := range unsupported {
		path := u.path
		if f.kind == providerKind {
			path = strings.TrimPrefix(path, "egress.") // where its routes are
		}
		for _, n := range f.root.find(strings.Split(path, ".")) {
			if !u.when(n) {
				continue
			}
			what := n.path
			if n.is(isString) && !strings.HasSuffix(u.path, "token_ref") {
				what += ": " + n.text
			}
			f.failKey(n, "", "%s is not supported yet", what)
		}
	}
}

// find returns every value at a path.
func (n *node) find(path []string) []*node {
	if n == nil {
		return nil
	}
	if len(path) == 0 {
		return []*node{n}
	}
	if path[0] != "*" {
		return n.get(path[0]).find(path[1:])
	}
	var out []*node
	for _, child := range slices.Concat(n.fields, n.items) {
		out = append(out, child.find(path[1:])...)
	}
	return out
}

func present(*node) bool { return true }

func is(words ...string) func(*node) bool {
	return func(n *node) bool { return n.is(isString) && slices.Contains(words, n.text) }
}
