package manifest

import (
	"maps"
	"slices"

	"cuelang.org/go/cue/ast"
)

// over is p, a child's policy, over its parent's resolved one. Environments merge
// by name, identities by field; everything else is replaced as a whole by the
// child that declares it, whatever it declares.
func (p *policy) over(parent *policy) *policy {
	env := maps.Clone(parent.env)
	if env == nil {
		env = map[string]part[EnvVar]{}
	}
	maps.Copy(env, p.env)
	return &policy{
		env:          env,
		name:         nonEmpty(p.name, parent.name),
		email:        nonEmpty(p.email, parent.email),
		remotes:      declared(p.remotes, parent.remotes),
		egress:       declared(p.egress, parent.egress),
		provider:     declared(p.provider, parent.provider),
		supervise:    declared(p.supervise, parent.supervise),
		backend:      declared(p.backend, parent.backend),
		resources:    declared(p.resources, parent.resources),
		workspace:    declared(p.workspace, parent.workspace),
		repositories: declared(p.repositories, parent.repositories),
	}
}

func declared[T any](child, parent part[T]) part[T] {
	if child.set {
		return child
	}
	return parent
}

func nonEmpty(child, parent part[string]) part[string] {
	if child.value != "" {
		return child
	}
	return parent
}

// resolver merges each bottle once, however many extend it.
type resolver struct {
	graph    *graph
	own      map[string]*policy
	resolved map[string]*policy
}

// resolve folds the parents left to right and then the bottle itself. It is
// called for sound lineages only.
func (r *resolver) resolve(name string) *policy {
	if p := r.resolved[name]; p != nil {
		return p
	}
	p := &policy{}
	for _, e := range r.graph.edges[name] {
		p = r.resolve(e.parent).over(p)
	}
	p = r.own[name].over(p)
	r.resolved[name] = p
	return p
}

// syntax is a merged policy as a user would have written it in one file.
func (p *policy) syntax() *ast.StructLit {
	out := &ast.StructLit{}
	env, identity, git := &ast.StructLit{}, &ast.StructLit{}, &ast.StructLit{}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		put(env, name, p.env[name])
	}
	put(identity, "name", p.name)
	put(identity, "email", p.email)
	put(git, "remotes", p.remotes)
	for _, group := range []struct {
		key    string
		fields *ast.StructLit
	}{{"env", env}, {"git_user", identity}, {"git", git}} {
		if len(group.fields.Elts) > 0 {
			out.Elts = append(out.Elts, &ast.Field{Label: ast.NewString(group.key), Value: group.fields})
		}
	}
	put(out, "egress", p.egress)
	put(out, "agent_provider", p.provider)
	put(out, "supervise", p.supervise)
	put(out, "backend", p.backend)
	put(out, "resources", p.resources)
	put(out, "workspace", p.workspace)
	put(out, "repositories", p.repositories)
	return out
}

func put[T any](s *ast.StructLit, key string, p part[T]) {
	if p.set {
		s.Elts = append(s.Elts, &ast.Field{Label: ast.NewString(key), Value: p.expr})
	}
}
