package manifest

import (
	"maps"
	"slices"

	"github.com/bot-bottle/bb/engine/provider"
	"github.com/bot-bottle/bb/engine/spec"
)

// bottle turns a resolved policy into the value that the engine works with.
func (p *policy) bottle(f *file, lineage []string) *Bottle {
	b := &Bottle{
		Name: f.name, File: f.path, Lineage: lineage,
		Provider: p.provider.value, Remotes: p.remotes.value, Egress: p.egress.value,
		Supervise: p.supervise.value, Backend: p.backend.value, Resources: p.resources.value,
		Workspace: p.workspace.value, Repositories: p.repositories.value,
		From: p.provenance(f),
	}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		b.Env = append(b.Env, p.env[name].value)
	}
	if b.Provider.Template == "" {
		b.Provider.Template = provider.Default
	}
	if b.Workspace.Mode == "" {
		b.Workspace.Mode = spec.WorkspaceNone
	}
	b.GitUser = overlay(GitUser{}, p.name.value, p.email.value, "bottle")
	return b
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
