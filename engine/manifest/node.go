package manifest

import (
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"
)

// nodeKind is what a value is, in the words of the file format.
type nodeKind int

const (
	isNull nodeKind = iota
	isBool
	isInt
	isNumber // with a fraction or exponent
	isString
	isMap
	isList
	isOther // a value that a manifest cannot hold, such as binary data
)

// maxDepth is far beyond what the schema knows.
const maxDepth = 32

// node is one value of a manifest with its place. A nil node is an absent
// value, and every method may be called on it.
type node struct {
	kind            nodeKind
	path            string // "egress.routes[0].host"
	key             string // when it belongs to a map
	line, col       int    // of the value
	keyLine, keyCol int    // of the key; of the value for an item of a list
	text            string // the string, or a number or bool as written
	fields, items   []*node
	expr            ast.Expr
}

// build makes nodes of a file's syntax and reports what syntax alone can tell.
func (f *file) build(expr ast.Expr) {
	if _, ok := expr.(*ast.StructLit); !ok {
		f.failFile(1, 1, "write KEY: VALUE lines", "a manifest must be a map of keys")
		return
	}
	root := f.node(expr, "", 0)
	if f.tooDeep {
		return
	}
	f.root = root
	f.root.line, f.root.col, f.root.keyLine, f.root.keyCol = 1, 1, 1, 1
}

func (f *file) node(expr ast.Expr, path string, depth int) *node {
	n := &node{path: path, expr: expr, kind: isOther}
	n.line, n.col = place(expr.Pos())
	n.keyLine, n.keyCol = n.line, n.col
	if depth > maxDepth {
		f.tooDeep = true
		f.fail(n, "", "nested too deeply")
		return n
	}
	switch e := expr.(type) {
	case *ast.StructLit:
		n.kind = isMap
		f.fields(n, e, depth)
	case *ast.ListLit:
		n.kind = isList
		for i, item := range e.Elts {
			n.items = append(n.items, f.node(item, path+"["+strconv.Itoa(i)+"]", depth+1))
		}
	case *ast.UnaryExpr: // a negative number
		if lit, ok := e.X.(*ast.BasicLit); ok && (e.Op == token.SUB || e.Op == token.ADD) {
			n.scalar(lit)
			n.text = e.Op.String() + n.text
		}
	case *ast.BasicLit:
		n.scalar(e)
	}
	return n
}

func (n *node) scalar(lit *ast.BasicLit) {
	n.text = lit.Value
	switch lit.Kind {
	case token.NULL:
		n.kind = isNull
	case token.TRUE, token.FALSE:
		n.kind = isBool
	case token.INT:
		n.kind = isInt
	case token.FLOAT:
		n.kind = isNumber
	case token.STRING:
		if text, err := literal.Unquote(lit.Value); err == nil && !strings.HasPrefix(strings.TrimLeft(lit.Value, "#"), "'") {
			n.kind, n.text = isString, text
		}
	}
}

// fields reads a map. The decoder keeps duplicate keys, and CUE would unify
// their values: the later ones are reported and taken out.
func (f *file) fields(n *node, e *ast.StructLit, depth int) {
	seen := map[string]*node{}
	kept := make([]ast.Decl, 0, len(e.Elts))
	for _, decl := range e.Elts {
		field, ok := decl.(*ast.Field)
		if !ok {
			continue
		}
		key, _, err := ast.LabelName(field.Label)
		if err != nil {
			continue
		}
		path := join(n.path, key)
		line, col := place(field.Label.Pos())
		if first := seen[key]; first != nil {
			f.failFile(line, col, "keep one of them", "duplicate key %q; the first is on line %d", safeKey(key), first.keyLine)
			continue
		}
		if isEmptyIdentity(path, field.Value) {
			field.Value = &ast.StructLit{Lbrace: field.Value.Pos(), Rbrace: field.Value.Pos()}
		}
		child := f.node(field.Value, path, depth+1)
		child.key, child.keyLine, child.keyCol = key, line, col
		seen[key] = child
		n.fields = append(n.fields, child)
		kept = append(kept, decl)
	}
	if len(kept) < len(e.Elts) {
		e.Elts = kept // only then: merged bottles share their syntax
	}
}

// isEmptyIdentity finds "git_user:" without a value, which means the same as
// an empty block and should be answered in the same words.
func isEmptyIdentity(path string, e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.NULL && (path == "git_user" || path == "git.user")
}

func place(p token.Pos) (line, col int) {
	at := p.Position()
	return at.Line, at.Column
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// safeKey cuts a key where somebody wrote NAME=VALUE into it.
func safeKey(key string) string {
	if name, _, ok := strings.Cut(key, "="); ok {
		key = name + "=..."
	}
	if len(key) > 60 {
		key = key[:60] + "..."
	}
	return key
}
