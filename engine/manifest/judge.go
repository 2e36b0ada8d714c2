package manifest

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"

	"github.com/bot-bottle/bb/cue/schema"
)

// judge holds a compiled schema. CUE values are not safe for use by several
// goroutines, so each worker has its own.
type judge struct {
	ctx    *cue.Context
	root   cue.Value
	shapes map[kind]*shape
	// accepted are the parts of merged bottles that need no second look.
	accepted map[ast.Expr]bool
	ruled    map[identityRule]bool
}

func newJudge() (*judge, error) {
	ctx := schema.NewContext()
	root, err := schema.Build(ctx)
	if err != nil {
		return nil, err
	}
	j := &judge{ctx: ctx, root: root, shapes: map[kind]*shape{}, accepted: map[ast.Expr]bool{}, ruled: map[identityRule]bool{}}
	for k, definition := range map[kind]string{bottleKind: "#Bottle", agentKind: "#Agent", providerKind: "#ProviderFile"} {
		v := root.LookupPath(cue.ParsePath(definition))
		if err := v.Err(); err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		j.shapes[k] = newShape(v)
	}
	return j, nil
}

// check judges one file: CUE decides, the walk explains.
func (j *judge) check(f *file) {
	if f.root == nil {
		return
	}
	s := j.shapes[f.kind]
	before := len(f.problems)
	verdict := s.value.Unify(j.ctx.BuildExpr(f.root.expr)).Validate(cue.Concrete(true))
	w := &walk{file: f}
	if verdict != nil {
		w.refine = j.refine
	}
	w.visit(s, f.root)
	if verdict != nil {
		w.count += j.guards(f, s)
	}
	switch {
	case verdict != nil && w.count == 0 && len(f.problems) == before:
		j.fallback(f, verdict)
	case verdict == nil && w.count > 0:
		f.failFile(0, 0, "please report it", "internal error: the schema accepts what its explanation refuses")
	}
}

// refine returns what the schema says about a scalar, or "".
func (j *judge) refine(s *shape, n *node) string {
	err := s.value.Unify(j.ctx.BuildExpr(n.expr)).Validate(cue.Concrete(true))
	if err == nil {
		return ""
	}
	if ours, text := schemaText(err); ours {
		return text
	}
	return "is not valid"
}

// guards evaluates rules across fields, which the schema writes as hidden
// fields: _git_user speaks about git_user, _git__user about git.user. Other
// mistakes would hide them from CUE, so they run on the clean fields alone.
func (j *judge) guards(f *file, s *shape) (count int) {
	clean := &ast.StructLit{}
	for _, field := range f.root.fields {
		if _, known := s.fields[field.key]; known && !f.hasProblemBelow(field) {
			clean.Elts = append(clean.Elts, &ast.Field{Label: ast.NewString(field.key), Value: field.expr})
		}
	}
	err := s.value.Unify(j.ctx.BuildExpr(clean)).Validate()
	for _, e := range errors.Errors(err) {
		path := e.Path()
		if len(path) == 0 || !strings.HasPrefix(path[len(path)-1], "_") {
			continue
		}
		format, args := e.Msg()
		at := f.root.get(strings.Split(path[len(path)-1][1:], "__")...)
		if at == nil {
			at = f.root
		}
		f.failKey(at, "", format, args...)
		count++
	}
	return count
}

// fallback reports CUE's own words where no better ones were found. They may
// quote values, so only the schema's texts are passed on.
func (j *judge) fallback(f *file, verdict error) {
	for _, e := range errors.Errors(verdict) {
		at, path := f.root, e.Path()
		for _, label := range path {
			if next := at.get(strings.Trim(label, `"`)); next != nil {
				at = next
			}
		}
		text := "the schema refuses this"
		if ours, words := schemaText(e); ours {
			text = words
		}
		f.failKey(at, "", "%s", text)
	}
}

// schemaText returns the last message of err, and whether the schema wrote it
// itself by error(): only then is it known to hold no value of the user's.
func schemaText(err error) (ours bool, text string) {
	for _, e := range errors.Errors(err) {
		format, args := e.Msg()
		if len(e.Path()) == 0 && len(args) == 0 && format == "" {
			continue
		}
		ours = e.Position().IsValid() && strings.HasPrefix(e.Position().Filename(), schema.FilePrefix)
		text = fmt.Sprintf(format, args...)
	}
	return ours, text
}

// hasProblemBelow reports a mistake already found in a field.
func (f *file) hasProblemBelow(n *node) bool {
	for _, p := range f.problems {
		if p.Path == n.path || strings.HasPrefix(p.Path, n.path+".") || strings.HasPrefix(p.Path, n.path+"[") {
			return true
		}
	}
	return false
}
