package manifest

import "cuelang.org/go/cue/ast"

// maxCost bounds what a file may make CUE do, in values and pieces of text.
const (
	maxCost  = 1 << 17
	textUnit = 16
)

// cueCost estimates from above how large a file becomes when every reference
// is written out. It looks at names alone: all that share one are added up.
type cueCost struct {
	file *file
	// named holds what an identifier may stand for, and "." with a field's
	// name what a selector may.
	named map[string][]ast.Expr
	known map[string]int
	open  map[string]bool
}

// affordable reports a file that would keep CUE busy for too long.
func (f *file) affordable(syntax *ast.File) bool {
	c := &cueCost{file: f, named: map[string][]ast.Expr{}, known: map[string]int{}, open: map[string]bool{}}
	ast.Walk(syntax, func(n ast.Node) bool {
		c.declare(n)
		return true
	}, nil)
	if cost := c.decls(syntax.Decls); cost > maxCost && !f.problems.HasErrors() {
		f.failFile(1, 1, "write the values out", "computing this file takes too much")
	}
	return !f.problems.HasErrors()
}

func (c *cueCost) declare(n ast.Node) {
	switch d := n.(type) {
	case *ast.Field:
		name, isIdent, err := ast.LabelName(d.Label)
		if err == nil {
			c.named["."+name] = append(c.named["."+name], d.Value)
		}
		if isIdent {
			c.named[name] = append(c.named[name], d.Value)
		}
	case *ast.LetClause:
		c.named[d.Ident.Name] = append(c.named[d.Ident.Name], d.Expr)
	case *ast.ForClause:
		for _, variable := range []*ast.Ident{d.Key, d.Value} {
			if variable != nil {
				c.named[variable.Name] = append(c.named[variable.Name], d.Source)
			}
		}
	}
}

func (c *cueCost) reference(name string, at ast.Node) int {
	if c.open[name] {
		line, col := place(at.Pos())
		c.file.failFile(line, col, "", "this refers to itself")
		return maxCost
	}
	if cost, ok := c.known[name]; ok {
		return cost
	}
	c.open[name] = true
	cost := min(1+c.all(c.named[name]), maxCost+1)
	c.open[name], c.known[name] = false, cost
	return cost
}

// selector costs as much as the whole it selects from. Within that whole, as
// in a: {b: "x", c: a.b}, it costs what bears the name.
func (c *cueCost) selector(e *ast.SelectorExpr) int {
	root, ok := e.X.(*ast.Ident)
	if !ok || !c.open[root.Name] {
		return c.of(e.X)
	}
	name, _, err := ast.LabelName(e.Sel)
	if err != nil {
		return maxCost
	}
	return c.reference("."+name, e)
}

func (c *cueCost) decls(decls []ast.Decl) int {
	total := 1
	for _, decl := range decls {
		switch d := decl.(type) {
		case *ast.Field:
			switch label := d.Label.(type) {
			case *ast.Interpolation:
				total += c.of(label)
			case *ast.ParenExpr:
				total += c.of(label)
			}
			total += c.of(d.Value)
		case *ast.LetClause:
			total += c.of(d.Expr)
		case *ast.EmbedDecl:
			total += c.of(d.Expr)
		case *ast.Comprehension:
			total += c.of(d)
		}
		total = min(total, maxCost+1)
	}
	return total
}

func (c *cueCost) all(exprs []ast.Expr) int {
	total := 0
	for _, e := range exprs {
		total = min(total+c.of(e), maxCost+1)
	}
	return total
}

func (c *cueCost) of(expr ast.Expr) int {
	switch e := expr.(type) {
	case *ast.BasicLit:
		return 1 + len(e.Value)/textUnit
	case *ast.Ident:
		return c.reference(e.Name, e)
	case *ast.StructLit:
		return c.decls(e.Elts)
	case *ast.ListLit:
		return 1 + c.all(e.Elts)
	case *ast.Interpolation:
		return c.all(e.Elts)
	case *ast.ParenExpr:
		return c.of(e.X)
	case *ast.SelectorExpr:
		return c.selector(e)
	case *ast.UnaryExpr:
		return c.of(e.X)
	case *ast.BinaryExpr:
		return c.all([]ast.Expr{e.X, e.Y})
	case *ast.IndexExpr:
		return c.all([]ast.Expr{e.X, e.Index})
	case *ast.SliceExpr:
		return c.all([]ast.Expr{e.X, e.Low, e.High})
	case *ast.Comprehension:
		return c.comprehension(e)
	}
	return 1
}

// comprehension does its body at most once for each value of each source.
func (c *cueCost) comprehension(e *ast.Comprehension) int {
	times, clauses := 1, 0
	for _, clause := range e.Clauses {
		switch x := clause.(type) {
		case *ast.ForClause:
			n := c.of(x.Source)
			clauses = min(clauses+times*n, maxCost+1)
			times = min(times*n, maxCost+1)
		case *ast.IfClause:
			clauses = min(clauses+times*c.of(x.Condition), maxCost+1)
		case *ast.LetClause:
			clauses = min(clauses+times*c.of(x.Expr), maxCost+1)
		}
	}
	return min(clauses+times*c.of(e.Value), maxCost+1)
}
