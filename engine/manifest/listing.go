package manifest

import (
	"cmp"
	"slices"
)

// Manifest is one file as lists show it, whether or not it compiled.
type Manifest struct {
	Kind  string // "provider", "bottle" or "agent"
	Name  string
	Scope Scope
	File  string // absolute path
	Shown string // as people should read it
	// Broken manifests have a mistake, or stand on one that has.
	Broken bool
	// Shadowed marks a home agent hidden by a repository's of the same name.
	Shadowed bool
	// Lineage is a bottle's name and then its ancestors, nearest first, as far
	// as they are readable.
	Lineage []string
	// Bottle is what an agent names.
	Bottle string
}

// listing tells all files: providers, bottles, agents, each kind by name.
func (l *loader) listing() []Manifest {
	visible := l.visible()
	var out []Manifest
	for _, f := range l.found.files {
		m := Manifest{Kind: string(f.kind), Name: f.name, Scope: f.scope, File: f.path, Shown: f.shown, Broken: f.broken()}
		switch f.kind {
		case providerKind:
		case bottleKind:
			m.Broken = l.broken[f.name]
			m.Lineage = l.bottles.closure(f.name)
		default:
			m.Bottle = f.root.get("bottle").str()
			m.Broken = m.Broken || l.fleet.Bottles[m.Bottle] == nil
			m.Shadowed = visible[f.name] != f
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Manifest) int {
		return cmp.Or(cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(b.Scope, a.Scope))
	})
	return out
}
