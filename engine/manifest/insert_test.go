package manifest

import (
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// insert puts a key into the map at a path, in both forms that a file has.
func insert(f *file, path, key string) {
	var visit func(*node) *node
	visit = func(n *node) *node {
		if n.path == path {
			return n
		}
		for _, child := range append(n.fields, n.items...) {
			if found := visit(child); found != nil {
				return found
			}
		}
		return nil
	}
	at := visit(f.root)
	value := &ast.BasicLit{Kind: token.STRING, Value: `"x"`}
	literal := at.expr.(*ast.StructLit)
	literal.Elts = append(literal.Elts, &ast.Field{Label: ast.NewString(key), Value: value})
	at.fields = append(at.fields, &node{
		kind: isString, path: join(path, key), key: key, text: "x", expr: value,
		line: insertedLine, keyLine: insertedLine, col: 1, keyCol: 1,
	})
}
