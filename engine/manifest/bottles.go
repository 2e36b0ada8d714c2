package manifest

import (
	"maps"
	"slices"

	"cuelang.org/go/cue"

	"github.com/bot-bottle/bb/engine/diag"
)

// bottle turns a resolved policy into the value that the engine works with.
func (p *policy) bottle(f *file, lineage []string) *Bottle {
	b := &Bottle{
		Name: f.name, File: f.path, Lineage: lineage,
		Provider: p.provider.value, Remotes: p.remotes.value, Egress: p.egress.value,
		Supervise: p.supervise.value, Backend: p.backend.value, Resources: p.resources.value,
		Workspace: p.workspace.value, Repositories: p.repositories.value,
		From: p.provenance(),
	}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		b.Env = append(b.Env, p.env[name].value)
	}
	if b.Provider.Template == "" {
		b.Provider.Template = "claude"
	}
	if b.Workspace.Mode == "" {
		b.Workspace.Mode = "none"
	}
	b.GitUser = overlay(GitUser{}, p.name.value, p.email.value, "bottle")
	return b
}

// provenance says for each field which file declared the value in force.
func (p *policy) provenance() map[string]Pos {
	from := map[string]Pos{}
	note := func(path string, set bool, at Pos) {
		if set {
			from[path] = at
		}
	}
	for name, v := range p.env {
		note("env."+name, true, v.from)
	}
	note("git_user.name", p.name.set, p.name.from)
	note("git_user.email", p.email.set, p.email.from)
	note("git.remotes", p.remotes.set, p.remotes.from)
	note("egress", p.egress.set, p.egress.from)
	note("agent_provider", p.provider.set, p.provider.from)
	note("supervise", p.supervise.set, p.supervise.from)
	note("backend", p.backend.set, p.backend.from)
	note("resources", p.resources.set, p.resources.from)
	note("workspace", p.workspace.set, p.workspace.from)
	note("repositories", p.repositories.set, p.repositories.from)
	return from
}

// overlay puts an identity over another, field by field; non-empty wins.
func overlay(under GitUser, name, email, from string) GitUser {
	if name != "" {
		under.Name, under.NameFrom = name, from
	}
	if email != "" {
		under.Email, under.EmailFrom = email, from
	}
	return under
}

// rejudge holds a merged bottle against the schema again. Each of its parts
// was accepted alone; what is wrong now is wrong between them.
func (j *judge) rejudge(f *file, p *policy) {
	syntax := p.syntax()
	if j.shapes[bottleKind].value.Unify(j.ctx.BuildExpr(syntax)).Validate(cue.Concrete(true)) == nil {
		return
	}
	merged := &file{kind: bottleKind, name: f.name, path: f.path, shown: f.shown}
	merged.build(syntax)
	j.check(merged)
	for _, d := range merged.problems {
		// Its places belong to several files: only the field is certain.
		f.problems = append(f.problems, diag.Diagnostic{
			Severity: d.Severity, File: f.shown, Line: 1, Col: 1, Path: d.Path,
			Message: "after extends: " + d.Message, Hint: d.Hint,
		})
	}
}
