package manifest

import (
	"errors"

	"cuelang.org/go/cue/ast"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// readCUE reads a manifest in CUE. One that only lists values is taken as it
// stands. One that computes is evaluated; that is bounded as far as one can
// see, but not for certain, so it is for files in the home directory alone.
func (f *file) readCUE(src []byte) {
	if f.tooLarge(src) {
		return
	}
	syntax, err := parseCUE(src)
	if err != nil {
		f.cueSyntaxError(err)
		return
	}
	p := &cueProfile{file: f}
	p.decls(syntax.Decls, 0)
	switch {
	case f.problems.HasErrors():
	case p.computed == nil:
		f.build(plainData(plainRoot(syntax)))
	case f.scope == ScopeRepository:
		line, col := place(p.computed.Pos())
		f.failFile(line, col, "write the values out", "a repository's .cue file must be plain data, without anything to compute")
	default:
		p.reportRepeated()
		if f.affordable(syntax) && !f.problems.HasErrors() {
			f.evaluate(syntax)
		}
	}
}

// parseCUE turns a panic of the parser into an error.
func parseCUE(src []byte) (syntax *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the parser gave up")
		}
	}()
	return parser.ParseFile(virtualName, src)
}

// cueSyntaxError reports the first mistake: the others tend to follow from it.
// The parser's words quote the file, so they never reach the user.
func (f *file) cueSyntaxError(err error) {
	line, col := 1, 1
	for _, e := range cueerrors.Errors(err) {
		if at := e.Position(); at.IsValid() {
			line, col = place(at)
			break
		}
	}
	f.failFile(line, col, "check the quotes, commas and brackets around here", "not valid CUE")
}

// plainRoot is the map that a file without anything to compute consists of:
// its keys, or one pair of braces around them.
func plainRoot(syntax *ast.File) ast.Expr {
	root := &ast.StructLit{}
	for _, decl := range syntax.Decls {
		switch d := decl.(type) {
		case *ast.EmbedDecl:
			return d.Expr
		case *ast.Field:
			root.Elts = append(root.Elts, d)
		}
	}
	return root
}

// plainData copies literal values and puts every key in quotes: to CUE an
// unquoted _x or #x would be a field that nobody sees.
func plainData(expr ast.Expr) ast.Expr {
	switch e := expr.(type) {
	case *ast.StructLit:
		out := &ast.StructLit{Lbrace: e.Pos()}
		for _, decl := range e.Elts {
			if field, ok := decl.(*ast.Field); ok {
				name, _, _ := ast.LabelName(field.Label) // a static one, says the profile
				out.Elts = append(out.Elts, dataField(name, field.Label.Pos(), plainData(field.Value)))
			}
		}
		return out
	case *ast.ListLit:
		out := &ast.ListLit{Lbrack: e.Pos()}
		for _, item := range e.Elts {
			out.Elts = append(out.Elts, plainData(item))
		}
		return out
	}
	return expr
}

// dataField is a key in quotes that knows where the user wrote it.
func dataField(name string, at token.Pos, value ast.Expr) *ast.Field {
	label := ast.NewString(name)
	label.ValuePos = at
	return &ast.Field{Label: label, Value: value}
}

// placed puts a fresh literal where the user wrote what it comes from.
func placed(expr ast.Expr, at token.Pos) ast.Expr {
	ast.SetPos(expr, at)
	return expr
}
