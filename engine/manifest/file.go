package manifest

import (
	"fmt"
	"slices"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/provider"
)

// kind says which definition of the schema a file must satisfy.
type kind string

const (
	bottleKind kind = "bottle"
	agentKind  kind = "agent"

	providerKind kind = "provider"
)

// file is one manifest on its way from bytes to values.
type file struct {
	kind  kind
	name  string
	scope Scope
	path  string // absolute
	shown string // as people read it

	repo string // root of the repository it came from, or ""
	// customs are the providers that a bottle may name besides the built-in ones.
	customs *customs
	custom  *provider.Custom // of a provider's own file

	root     *node // nil when the file could not be read
	sum      [32]byte
	body     string
	bodyLine int
	runaway  bool // its evaluation could not be stopped
	tooDeep  bool
	problems diag.List
	judged   map[[2]int]bool // places that have a problem
}

func (f *file) broken() bool { return f.root == nil || f.problems.HasErrors() }

// add places a diagnostic. One place has one mistake: what the shape already
// refused is not judged a second time by meaning.
func (f *file) add(d diag.Diagnostic) {
	if d.Severity == "" {
		d.Severity = diag.Error
	}
	d.File = f.shown
	if d.Line == 0 || !f.judged[[2]int{d.Line, d.Col}] {
		f.put(d)
	}
}

// put adds a diagnostic whether or not its place has one.
func (f *file) put(d diag.Diagnostic) {
	if f.judged == nil {
		f.judged = map[[2]int]bool{}
	}
	f.judged[[2]int{d.Line, d.Col}] = true
	f.problems = append(f.problems, d)
}

// fail reports a mistake in a value.
func (f *file) fail(n *node, hint, format string, args ...any) {
	f.add(diag.Diagnostic{
		Line: n.line, Col: n.col, Path: n.path, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// warnAt reports what is likely to be a slip at a value.
func (f *file) warnAt(n *node, hint, format string, args ...any) {
	f.add(diag.Diagnostic{
		Severity: diag.Warning,
		Line:     n.line, Col: n.col, Path: n.path, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// failKey reports a mistake in a key, or in the presence of one.
func (f *file) failKey(n *node, hint, format string, args ...any) {
	f.add(diag.Diagnostic{
		Line: n.keyLine, Col: n.keyCol, Path: n.path, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// failFile reports a mistake of the file as a whole, or of one line in it.
func (f *file) failFile(line, col int, hint, format string, args ...any) {
	f.add(diag.Diagnostic{Line: line, Col: col, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// pos is where a key was declared, for provenance.
func (f *file) pos(n *node) Pos {
	if n == nil {
		return Pos{}
	}
	return Pos{File: f.shown, Line: n.keyLine}
}

// few are the first mistakes of a file, by place: the rest of a thousand
// helps nobody.
func (f *file) few() diag.List {
	const most = 50
	f.problems.Sort()
	if len(f.problems) <= most {
		return f.problems
	}
	last := f.problems[most-1]
	return append(slices.Clone(f.problems[:most]), diag.Diagnostic{
		Severity: diag.Error, File: f.shown, Line: last.Line, Col: last.Col + 1,
		Message: fmt.Sprintf("and %d more mistakes in this file", len(f.problems)-most),
	})
}
