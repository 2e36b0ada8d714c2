package manifest

import (
	"slices"
	"strconv"

	"cuelang.org/go/cue"
)

// shape is one value of the schema, read once into Go: the walk beside a
// user's file needs names and kinds thousands of times, and asking CUE each
// time would cost more than the evaluation itself.
type shape struct {
	value  cue.Value
	kinds  cue.Kind
	fields map[string]*shape
	names  []string // known keys, as the schema orders them
	any    *shape   // values of a map with free keys
	item   *shape   // items of a list
	enum   []string
	alts   []*shape // a union of different kinds

	required bool
	refused  string // the schema's reason why this key must not be there
	// From attributes in the schema:
	refuses string // words before the value of a refused key
	hint    string // next step when value is wrong or missing
	keys    string // what keys of a map look like
	secret  bool   // the value is never shown
}

// newShape reads a value of the schema. The schema has no recursion.
func newShape(v cue.Value) *shape {
	s := &shape{value: v, kinds: v.IncompleteKind()}
	s.attributes(v)
	target := cue.Dereference(v)
	s.attributes(target)
	if s.kinds == cue.BottomKind {
		s.refused = "not allowed"
		if err := v.Err(); err != nil {
			s.refused = lastMessage(err)
		}
		return s
	}
	if op, args := target.Expr(); op == cue.OrOp {
		s.disjunction(args)
		return s
	}
	switch s.kinds {
	case cue.StructKind:
		s.structure(v)
	case cue.ListKind:
		if item := v.LookupPath(cue.MakePath(cue.AnyIndex)); item.Exists() {
			s.item = newShape(item)
		}
	}
	return s
}

func (s *shape) structure(v cue.Value) {
	s.fields = map[string]*shape{}
	iter, err := v.Fields(cue.Optional(true), cue.Patterns(true))
	if err != nil {
		return
	}
	for iter.Next() {
		sel, child := iter.Selector(), newShape(iter.Value())
		if sel.ConstraintType() == cue.PatternConstraint {
			s.any = child
			continue
		}
		child.required = sel.ConstraintType() == cue.RequiredConstraint
		name := sel.Unquoted()
		s.fields[name] = child
		if child.refused == "" {
			s.names = append(s.names, name)
		}
	}
}

// disjunction tells an enumeration from a union of kinds.
func (s *shape) disjunction(args []cue.Value) {
	for _, arg := range args {
		if text, err := arg.String(); err == nil {
			s.enum = append(s.enum, text)
			continue
		}
		alt := newShape(arg)
		alt.secret = alt.secret || s.secret
		s.alts = append(s.alts, alt)
	}
	if len(s.enum) > 0 {
		s.alts = nil
	}
}

func (s *shape) attributes(v cue.Value) {
	for _, a := range v.Attributes(cue.FieldAttr | cue.DeclAttr) {
		text, _ := a.String(0)
		switch a.Name() {
		case "secret":
			s.secret = true
		case "hint":
			s.hint = text
		case "keys":
			s.keys = text
		case "refuses":
			s.refuses = text
		}
	}
}

// alternative is the member of a union that fits the kind of a value.
func (s *shape) alternative(k cue.Kind) *shape {
	for _, alt := range s.alts {
		if alt.kinds&k != 0 {
			return alt
		}
	}
	return s
}

// expected says in words what values fit.
func (s *shape) expected() string {
	words := []struct {
		kind cue.Kind
		word string
	}{
		{cue.StringKind, "a string"},
		{cue.BoolKind, "true or false"},
		{cue.StructKind, "a map"},
		{cue.ListKind, "a list"},
	}
	out := ""
	add := func(word string) {
		if out != "" {
			out += " or "
		}
		out += word
	}
	for _, w := range words {
		if s.kinds&w.kind != 0 {
			add(w.word)
		}
	}
	switch {
	case s.kinds&cue.NumberKind == cue.NumberKind:
		add("a number")
	case s.kinds&cue.IntKind != 0:
		add("a whole number")
	}
	return out
}

// cueKind is the kind that CUE gives a node.
func (n *node) cueKind() cue.Kind {
	switch n.kind {
	case isNull:
		return cue.NullKind
	case isBool:
		return cue.BoolKind
	case isInt:
		return cue.IntKind
	case isNumber:
		return cue.FloatKind
	case isString:
		return cue.StringKind
	case isMap:
		return cue.StructKind
	case isList:
		return cue.ListKind
	}
	return cue.BytesKind
}

// shown is a value in words: itself where that helps and betrays nothing.
func (n *node) shown(secret bool) string {
	switch n.kind {
	case isNull:
		return "nothing"
	case isMap:
		return "a map"
	case isList:
		return "a list"
	case isOther:
		return "something else"
	}
	const longest = 40
	if secret || len(n.text) > longest {
		words := map[nodeKind]string{isBool: "true or false", isInt: "a number", isNumber: "a number", isString: "other text"}
		return words[n.kind]
	}
	if n.kind == isString {
		return strconv.Quote(n.text)
	}
	return n.text
}

func (s *shape) allows(name string) bool {
	return s.any != nil && (s.any.kinds != cue.BottomKind) && s.value.Allows(cue.Str(name)) && !slices.Contains(s.names, name)
}
