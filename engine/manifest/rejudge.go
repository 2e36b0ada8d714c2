package manifest

import (
	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"

	"github.com/bot-bottle/bb/engine/diag"
)

// rejudge holds a merged bottle against the schema again. Each of its parts
// was accepted alone; what is wrong now is wrong between them.
func (j *judge) rejudge(f *file, p *policy) {
	if j.soundParts(p) {
		return
	}
	merged := &file{kind: bottleKind, name: f.name, path: f.path, shown: f.shown}
	merged.build(p.syntax())
	j.check(merged)
	for _, d := range merged.problems {
		// Its places belong to several files: only the field is certain.
		f.problems = append(f.problems, diag.Diagnostic{
			Severity: d.Severity, File: f.shown, Line: 1, Col: 1, Path: d.Path,
			Message: "after extends: " + d.Message, Hint: d.Hint,
		})
	}
}

// soundParts judges a merged bottle field by field, each value that some file
// declared only once, however many bottles inherit it: judging every bottle as
// a whole would cost more than all the rest. What the schema's rules compare is
// judged together; a test keeps that in step with the schema.
func (j *judge) soundParts(p *policy) bool {
	compared := &ast.StructLit{}
	for _, decl := range p.syntax().Elts {
		field := decl.(*ast.Field) // policy.syntax makes nothing else
		name, _, _ := ast.LabelName(field.Label)
		if name == "git_user" || name == "git" {
			compared.Elts = append(compared.Elts, field)
		}
		if !j.soundField(name, field.Value) {
			return false
		}
	}
	rule := identityRule{p.name.value != "", p.email.value != "", p.name.set || p.email.set, p.remotes.set}
	if !j.ruled[rule] {
		j.ruled[rule] = j.accepts(j.shapes[bottleKind], compared)
	}
	return j.ruled[rule]
}

// identityRule is all that the schema's rules about identities look at.
type identityRule struct{ name, email, declared, git bool }

func (j *judge) soundField(name string, value ast.Expr) bool {
	seen := []ast.Expr{value}
	if name == "env" { // made anew of entries that are not
		fresh := &ast.StructLit{}
		for _, decl := range value.(*ast.StructLit).Elts {
			if entry := decl.(*ast.Field); !j.accepted[entry.Value] {
				fresh.Elts, seen = append(fresh.Elts, entry), append(seen, entry.Value)
			}
		}
		value = fresh
	}
	if j.accepted[value] {
		return true
	}
	if !j.accepts(j.shapes[bottleKind].fields[name], value) {
		return false
	}
	for _, expr := range seen {
		j.accepted[expr] = true
	}
	return true
}

func (j *judge) accepts(s *shape, value ast.Expr) bool {
	return s.value.Unify(j.ctx.BuildExpr(value)).Validate(cue.Concrete(true)) == nil
}
