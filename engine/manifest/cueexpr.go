package manifest

import (
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// expr admits expressions. Functions, products and choices are out: a short
// file could make them take any time and memory.
func (p *cueProfile) expr(expr ast.Expr, depth int) {
	if depth++; depth > 2*maxDepth {
		p.refuse(expr, "", "nested too deeply")
		return
	}
	switch e := expr.(type) {
	case nil:
	case *ast.BasicLit:
	case *ast.StructLit:
		p.decls(e.Elts, depth)
	case *ast.ListLit:
		p.exprs(e.Elts, depth)
	case *ast.Comprehension:
		p.comprehension(e, depth)
	case *ast.UnaryExpr:
		p.unary(e, depth)
	case *ast.BinaryExpr:
		p.binary(e, depth)
	case *ast.Ident, *ast.BottomLit:
		p.compute(e)
	case *ast.Interpolation:
		p.compute(e)
		p.exprs(e.Elts, depth)
	case *ast.ParenExpr:
		p.compute(e)
		p.expr(e.X, depth)
	case *ast.SelectorExpr:
		p.compute(e)
		p.expr(e.X, depth)
	case *ast.IndexExpr:
		p.compute(e)
		p.exprs([]ast.Expr{e.X, e.Index}, depth)
	case *ast.SliceExpr:
		p.compute(e)
		p.exprs([]ast.Expr{e.X, e.Low, e.High}, depth)
	case *ast.CallExpr:
		p.refuse(e, "write the value out", "functions are not supported in a manifest")
	case *ast.Ellipsis:
		p.refuse(e, "remove it", noConstraints)
	default:
		p.refuse(e, "", "this kind of CUE is not supported in a manifest")
	}
}

func (p *cueProfile) unary(e *ast.UnaryExpr, depth int) {
	switch e.Op {
	case token.ADD, token.SUB:
		if lit, ok := e.X.(*ast.BasicLit); ok && (lit.Kind == token.INT || lit.Kind == token.FLOAT) {
			return // a signed number
		}
	case token.NOT:
	default:
		p.refuse(e, "write the value itself", noConstraints)
		return
	}
	p.compute(e)
	p.expr(e.X, depth)
}

func (p *cueProfile) binary(e *ast.BinaryExpr, depth int) {
	switch e.Op {
	case token.ADD, token.SUB, token.QUO, token.AND, token.LAND, token.LOR,
		token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ, token.MAT, token.NMAT:
	case token.OR:
		p.refuse(e, "write one value", noConstraints)
		return
	default:
		p.refuse(e, "write the result out", "this operator is not supported in a manifest")
		return
	}
	p.compute(e)
	p.exprs([]ast.Expr{e.X, e.Y}, depth)
}
