package manifest

import (
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
)

// edge is one entry of an extends: who, whom, and where it says so.
type edge struct {
	child, parent string
	at            *node
}

// graph is the lineage of all bottles, readable ones and broken ones.
type graph struct {
	files map[string]*file // by bottle
	names []string         // sorted
	edges map[string][]edge
}

func newGraph(bottles []*file) *graph {
	g := &graph{files: map[string]*file{}, edges: map[string][]edge{}}
	for _, f := range bottles {
		g.files[f.name] = f
		g.names = append(g.names, f.name)
		g.edges[f.name] = f.extends()
	}
	slices.Sort(g.names)
	return g
}

// extends reads one name or a list of them; what is no name was reported by
// the shape.
func (f *file) extends() []edge {
	n := f.root.get("extends")
	items := n.each()
	if n.is(isString) {
		items = []*node{n}
	}
	var edges []edge
	seen := map[string]bool{}
	for _, item := range items {
		name := item.str()
		switch {
		case !validName.MatchString(name):
		case seen[name]:
			f.fail(item, "name a parent once", "%s repeats %q", item.path, name)
		default:
			seen[name] = true
			edges = append(edges, edge{child: f.name, parent: name, at: item})
		}
	}
	return edges
}

// judge lets CUE unfold the graph and words what it finds. Missing parents are
// taken out before the search for cycles, so that neither hides the other.
func (g *graph) judge(j *judge) {
	if len(g.edges) == 0 {
		return
	}
	if g.reportMissing(j) {
		for name, edges := range g.edges {
			g.edges[name] = slices.DeleteFunc(slices.Clone(edges), func(e edge) bool { return g.files[e.parent] == nil })
		}
	}
	for _, closing := range g.refusedEdges(j) {
		chain := append([]string{closing.child}, g.path(closing.parent, closing.child)...)
		g.files[closing.child].fail(closing.at, "remove one of these extends",
			"extends makes a cycle: %s", strings.Join(chain, " -> "))
	}
}

// reportMissing reports whether a parent is not there.
func (g *graph) reportMissing(j *judge) (missing bool) {
	for _, name := range g.names {
		for _, e := range g.edges[name] {
			if g.files[e.parent] == nil {
				missing = true
			}
		}
	}
	if !missing {
		return false
	}
	// CUE refuses what is missing too; words of ours name all of it.
	agreed := len(g.refusedEdges(j)) > 0
	for _, name := range g.names {
		for _, e := range g.edges[name] {
			if g.files[e.parent] == nil {
				g.files[name].fail(e.at, available("bottles", e.parent, g.names), "unknown bottle %q in extends", e.parent)
				if !agreed {
					g.files[name].failFile(0, 0, "please report it", "internal error: the schema accepts a missing parent")
				}
			}
		}
	}
	return true
}

// refusedEdges asks CUE. The last two labels of an error's path are the child
// and the parent of the edge that it refuses.
func (g *graph) refusedEdges(j *judge) []edge {
	bottles, declared := &ast.StructLit{}, map[[2]string]edge{}
	for _, name := range g.names {
		list := &ast.ListLit{}
		for _, e := range g.edges[name] {
			list.Elts = append(list.Elts, ast.NewString(e.parent))
			declared[[2]string{name, e.parent}] = e
		}
		bottles.Elts = append(bottles.Elts, &ast.Field{Label: ast.NewString(name), Value: list})
	}
	root := j.root.LookupPath(cue.ParsePath("#Lineage")).FillPath(cue.ParsePath("bottles"), j.ctx.BuildExpr(bottles))
	var refused []edge
	for _, e := range errors.Errors(root.Validate(cue.Concrete(true))) {
		path := e.Path()
		if len(path) < 2 {
			continue
		}
		child, parent := strings.Trim(path[len(path)-2], `"`), strings.Trim(path[len(path)-1], `"`)
		if e, ok := declared[[2]string{child, parent}]; ok {
			refused = append(refused, e)
		}
	}
	return refused
}

// path follows extends from one bottle to another, both included.
func (g *graph) path(from, to string) []string {
	seen := map[string]bool{}
	var visit func(at string) []string
	visit = func(at string) []string {
		if at == to {
			return []string{at}
		}
		if seen[at] {
			return nil
		}
		seen[at] = true
		for _, e := range g.edges[at] {
			if rest := visit(e.parent); rest != nil {
				return append([]string{at}, rest...)
			}
		}
		return nil
	}
	return visit(from)
}

// closure is a bottle and all its ancestors, nearest first.
func (g *graph) closure(name string) []string {
	out := []string{name}
	for i := 0; i < len(out); i++ {
		for _, e := range g.edges[out[i]] {
			if !slices.Contains(out, e.parent) {
				out = append(out, e.parent)
			}
		}
	}
	return out
}

// available is a hint: the nearest name, or all there are.
func available(what, word string, names []string) string {
	if len(names) == 0 {
		return "there are no " + what
	}
	const few = 20
	if hint := suggestion(word, names); strings.HasPrefix(hint, "did you mean") {
		return hint
	}
	if len(names) > few {
		return what + ": " + strings.Join(names[:few], ", ") + ", ..."
	}
	return what + ": " + strings.Join(names, ", ")
}
