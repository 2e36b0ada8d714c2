package manifest

import (
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// cueProfile admits the part of CUE that a manifest may use. What it does not
// know it refuses, so that a newer CUE brings nothing in unseen.
type cueProfile struct {
	file *file
	// computed is the first thing that is not a plain value.
	computed ast.Node
	repeated []func()
}

const noConstraints = "a manifest holds values, not constraints"

func (p *cueProfile) refuse(n ast.Node, hint, message string) {
	line, col := place(n.Pos())
	p.file.failFile(line, col, hint, "%s", message)
}

func (p *cueProfile) compute(n ast.Node) {
	if p.computed == nil || n.Pos().Offset() < p.computed.Pos().Offset() {
		p.computed = n
	}
}

func (p *cueProfile) decls(decls []ast.Decl, depth int) {
	seen := map[string]token.Pos{}
	for _, decl := range decls {
		switch d := decl.(type) {
		case *ast.Package, *ast.CommentGroup:
		case *ast.Field:
			p.field(d, seen, depth)
		case *ast.LetClause:
			p.compute(d)
			p.expr(d.Expr, depth)
		case *ast.EmbedDecl:
			if _, braces := d.Expr.(*ast.StructLit); !braces || depth > 0 || len(decls) > 1 {
				p.compute(d)
			}
			p.expr(d.Expr, depth)
		case *ast.Comprehension:
			p.comprehension(d, depth)
		case *ast.ImportDecl:
			p.refuse(d, "write the values out", "a manifest imports nothing")
		case *ast.Attribute:
			p.refuse(d, "remove it", "attributes are not supported")
		case *ast.Ellipsis:
			p.refuse(d, "remove it", noConstraints)
		default:
			p.refuse(d, "", "this kind of CUE is not supported in a manifest")
		}
	}
}

func (p *cueProfile) field(d *ast.Field, seen map[string]token.Pos, depth int) {
	switch {
	case d.Constraint != token.ILLEGAL:
		p.refuse(d, "write KEY: VALUE", noConstraints)
	case len(d.Attrs) > 0:
		p.refuse(d.Attrs[0], "remove it", "attributes are not supported")
	case d.Alias != nil:
		p.refuse(d, "use let", "aliases are not supported in a manifest")
	}
	switch label := d.Label.(type) {
	case *ast.Ident, *ast.BasicLit:
		p.label(d, seen)
	case *ast.Interpolation:
		p.compute(d)
		p.exprs(label.Elts, depth)
	case *ast.ParenExpr:
		p.compute(d)
		p.expr(label.X, depth)
	case *ast.ListLit:
		p.refuse(d, "write KEY: VALUE", noConstraints)
	default:
		p.refuse(d, "use let", "aliases are not supported in a manifest")
	}
	p.expr(d.Value, depth)
}

// label notes a key's second place: CUE would unify both in silence. In plain
// data the nodes find it themselves.
func (p *cueProfile) label(d *ast.Field, seen map[string]token.Pos) {
	name, isIdent, err := ast.LabelName(d.Label)
	if err != nil {
		p.refuse(d, "", "this key cannot be read")
		return
	}
	if isIdent && (name[0] == '_' || name[0] == '#') {
		p.compute(d) // a helper that others refer to
	}
	if first, ok := seen[name]; ok {
		p.repeated = append(p.repeated, func() {
			line, col := place(d.Pos())
			p.file.failFile(line, col, "keep one of them", "duplicate key %q; the first is on line %d", safeKey(name), first.Line())
		})
		return
	}
	seen[name] = d.Pos()
}

func (p *cueProfile) reportRepeated() {
	for _, report := range p.repeated {
		report()
	}
}

func (p *cueProfile) comprehension(c *ast.Comprehension, depth int) {
	p.compute(c)
	if c.Fallback != nil {
		p.refuse(c, "", "this kind of CUE is not supported in a manifest")
	}
	for _, clause := range c.Clauses {
		switch x := clause.(type) {
		case *ast.ForClause:
			p.expr(x.Source, depth)
		case *ast.IfClause:
			p.expr(x.Condition, depth)
		case *ast.LetClause:
			p.expr(x.Expr, depth)
		default:
			p.refuse(c, "", "this kind of CUE is not supported in a manifest")
		}
	}
	p.expr(c.Value, depth)
}

func (p *cueProfile) exprs(list []ast.Expr, depth int) {
	for _, e := range list {
		p.expr(e, depth)
	}
}
