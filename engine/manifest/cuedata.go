package manifest

import (
	"fmt"
	"regexp"
	"strconv"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"
)

// cueMistake is what an evaluation found, with its place when CUE knows it.
type cueMistake struct {
	at         token.Pos
	text, hint string
}

func (e *evaluation) mistake(at token.Pos, hint, text string) ast.Expr {
	e.mistakes = append(e.mistakes, cueMistake{at, text, hint})
	return ast.NewNull()
}

// value writes a computed value out as plain data, at the places where the
// user wrote what it was computed from.
func (e *evaluation) value(v cue.Value, at token.Pos, depth int) ast.Expr {
	if e.values++; e.values > maxValues || e.text > maxText {
		if len(e.mistakes) > 0 {
			return ast.NewNull()
		}
		return e.mistake(at, "", fmt.Sprintf("computes more than %d values or %d KiB of text", maxValues, maxText>>10))
	}
	if depth > maxDepth {
		return e.mistake(at, "", "nested too deeply")
	}
	if err := v.Err(); err != nil {
		e.explain(err)
		return ast.NewNull()
	}
	switch v.Kind() {
	case cue.StructKind:
		return e.structure(v, at, depth)
	case cue.ListKind:
		out := &ast.ListLit{Lbrack: at}
		for iter, err := v.List(); err == nil && iter.Next(); {
			_, itemAt := places(iter.Value(), at)
			out.Elts = append(out.Elts, e.value(iter.Value(), itemAt, depth+1))
		}
		return out
	case cue.BottomKind:
		return e.mistake(at, "put text in quotes", "this has no value of its own")
	case cue.StringKind:
		text, _ := v.String() // its kind says that it is one
		e.text += len(text)
		return placed(ast.NewString(text), at)
	}
	literal, ok := v.Syntax(cue.Final(), cue.Concrete(true)).(ast.Expr)
	if !ok {
		return e.mistake(at, "write the value out", "this value cannot be used")
	}
	return placed(literal, at)
}

func (e *evaluation) structure(v cue.Value, at token.Pos, depth int) ast.Expr {
	out := &ast.StructLit{Lbrace: at}
	iter, err := v.Fields()
	if err != nil {
		e.explain(err)
		return out
	}
	for iter.Next() {
		keyAt, valueAt := places(iter.Value(), at)
		out.Elts = append(out.Elts, dataField(iter.Selector().Unquoted(), keyAt, e.value(iter.Value(), valueAt, depth+1)))
	}
	return out
}

// places are where a value's key and the value itself stand, or those of what
// they belong to.
func places(v cue.Value, under token.Pos) (key, value token.Pos) {
	key, value = under, under
	switch src := v.Source().(type) {
	case *ast.Field:
		key, value = src.Label.Pos(), src.Value.Pos()
	case ast.Expr:
		key, value = src.Pos(), src.Pos()
	default:
		if v.Pos().IsValid() {
			key, value = v.Pos(), v.Pos()
		}
	}
	if !key.IsValid() {
		key = under
	}
	if !value.IsValid() {
		value = key
	}
	return key, value
}

// verbs are the places in a message of CUE where it quotes the user's values.
var verbs = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)

// explain keeps CUE's words and leaves out what they quote.
func (e *evaluation) explain(err error) {
	for _, one := range errors.Errors(err) {
		format, _ := one.Msg()
		text, hint := "this cannot be computed: "+verbs.ReplaceAllString(format, "..."), ""
		switch format {
		case "reference %q not found":
			text, hint = "unknown reference", "put text in quotes"
		case "structural cycle":
			text = "this refers to itself"
		}
		e.mistake(e.placeOf(one), hint, text)
	}
}

func (e *evaluation) placeOf(err errors.Error) token.Pos {
	if at := err.Position(); at.IsValid() {
		return at
	}
	for _, at := range err.InputPositions() {
		if at.IsValid() {
			return at
		}
	}
	at, v := token.NoPos, e.root
	for _, label := range err.Path() {
		name, quoteErr := strconv.Unquote(label)
		if quoteErr != nil {
			name = label
		}
		if v = v.LookupPath(cue.MakePath(cue.Str(name))); !v.Pos().IsValid() {
			break
		}
		at = v.Pos()
	}
	return at
}
