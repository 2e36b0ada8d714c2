package manifest

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue"

	"github.com/bot-bottle/bb/engine/diag"
)

// walk compares a file with the schema and reports every unknown, missing and
// mistyped value. CUE is the judge, but it names only the first few mistakes;
// the walk finds them all, in words of its own.
type walk struct {
	file *file
	// refine asks CUE about a leaf of the right kind. It is nil while CUE has
	// not refused the file: then every leaf is known to be right.
	refine func(s *shape, n *node) string
	count  int
}

func (w *walk) fail(n *node, hint, format string, args ...any) {
	w.count++
	w.file.fail(n, hint, format, args...)
}

func (w *walk) failKey(n *node, hint, format string, args ...any) {
	w.count++
	w.file.failKey(n, hint, format, args...)
}

func (w *walk) visit(s *shape, n *node) {
	if s.kinds&n.cueKind() == 0 {
		// Text where a map or list belongs may be anything, a secret too.
		hide := s.secret || s.kinds&(cue.BoolKind|cue.NumberKind|cue.StringKind) == 0
		w.fail(n, s.hint, "%s must be %s; got %s", subject(n), s.expected(), n.shown(hide))
		return
	}
	hint := s.hint
	s = s.alternative(n.cueKind())
	switch {
	case n.kind == isMap && s.fields != nil:
		w.visitMap(s, n)
	case n.kind == isList && s.item != nil:
		for _, item := range n.items {
			w.visit(s.item, item)
		}
	case s.enum != nil:
		w.visitEnum(s, n)
	case w.refine != nil && (n.kind == isString || n.kind == isInt || n.kind == isNumber):
		if text := w.refine(s, n); text != "" {
			if !s.secret {
				text += "; got " + n.shown(false)
			}
			w.fail(n, hint, "%s %s", n.path, text)
		}
	}
}

func (w *walk) visitMap(s *shape, n *node) {
	for _, child := range n.fields {
		known := s.fields[child.key]
		switch {
		case known == nil && s.allows(child.key):
			w.visit(s.any, child)
		case known == nil && s.any != nil:
			w.failKey(child, s.keys, "%q is not a valid name in %s", safeKey(child.key), n.path)
		case known == nil:
			w.unknown(s, n, child)
		case known.refused != "":
			w.refused(known, child)
		default:
			w.visit(known, child)
		}
	}
	for _, name := range s.names {
		if s.fields[name].required && n.get(name) == nil {
			w.failMissing(n, name, s.fields[name].hint)
		}
	}
}

// failMissing reports at the map that lacks the key; several missing keys of
// one map are several mistakes in one place.
func (w *walk) failMissing(n *node, name, hint string) {
	w.count++
	w.file.put(diag.Diagnostic{
		Severity: diag.Error, File: w.file.shown, Line: n.keyLine, Col: n.keyCol,
		Path: join(n.path, name), Message: join(n.path, name) + " is required", Hint: hint,
	})
}

func (w *walk) unknown(s *shape, parent, child *node) {
	message := fmt.Sprintf("unknown key %q", safeKey(child.key))
	if parent.path != "" {
		message += " in " + parent.path
	}
	w.failKey(child, suggestion(child.key, s.names), "%s", message)
}

// suggestion is what to write instead: the nearest name, or all when few.
func suggestion(word string, known []string) string {
	if near := diag.Suggest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	const few = 12
	if len(known) == 0 || len(known) > few {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

func (w *walk) refused(s *shape, n *node) {
	if s.refuses != "" {
		value := n.shown(false)
		if n.kind == isMap || n.kind == isList {
			value = "(" + value + ")"
		}
		w.failKey(n, s.refused, "%s %s", s.refuses, value)
		return
	}
	w.failKey(n, s.hint, "%s", s.refused)
}

func (w *walk) visitEnum(s *shape, n *node) {
	for _, known := range s.enum {
		if n.kind == isString && n.text == known {
			return
		}
	}
	list := make([]string, len(s.enum))
	for i, known := range s.enum {
		list[i] = fmt.Sprintf("%q", known)
	}
	hint := ""
	if near := diag.Suggest(strings.ToLower(n.text), s.enum); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	w.fail(n, hint, "%s must be one of %s; got %s", n.path, strings.Join(list, ", "), n.shown(s.secret))
}

// subject names a value; the file itself has no path.
func subject(n *node) string {
	if n.path == "" {
		return "a manifest"
	}
	return n.path
}

// lastMessage is the most specific text of an error of CUE, without its path.
func lastMessage(err error) string {
	_, text := schemaText(err)
	return text
}
