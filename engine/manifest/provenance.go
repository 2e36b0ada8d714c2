package manifest

// provenance says for each field which file declared the value in force: for
// the whole of a block and for everything in it.
func (p *policy) provenance(f *file) map[string]Pos {
	from := map[string]Pos{}
	note(from, f.shown, f.root.get("extends"))
	for name, v := range p.env {
		from["env."+name] = v.from
	}
	if p.name.set {
		from["git_user.name"] = p.name.from
	}
	if p.email.set {
		from["git_user.email"] = p.email.from
	}
	noteAll(from, p.remotes)
	noteAll(from, p.egress)
	noteAll(from, p.provider)
	noteAll(from, p.supervise)
	noteAll(from, p.backend)
	noteAll(from, p.resources)
	noteAll(from, p.workspace)
	noteAll(from, p.repositories)
	return from
}

func noteAll[T any](from map[string]Pos, p part[T]) {
	if p.set {
		note(from, p.from.File, p.node)
	}
}

// note records a value and all below it.
func note(from map[string]Pos, file string, n *node) {
	if n == nil {
		return
	}
	from[n.path] = Pos{File: file, Line: n.keyLine}
	for _, child := range n.fields {
		note(from, file, child)
	}
	for _, item := range n.items {
		note(from, file, item)
	}
}

// provenance of an agent covers what its file declares and the identity that
// it takes over from its bottle.
func (a *declaredAgent) provenance(f *file, b *Bottle) map[string]Pos {
	from := map[string]Pos{}
	for _, path := range []string{"git_user.name", "git_user.email"} {
		if at, ok := b.From[path]; ok {
			from[path] = at
		}
	}
	for _, key := range []string{"bottle", "skills", "replicas", "prompt"} {
		note(from, f.shown, f.root.get(key))
	}
	if a.prompt != "" && f.bodyLine > 0 {
		from["prompt"] = Pos{File: f.shown, Line: f.bodyLine}
	}
	for path, n := range map[string]*node{"git_user.name": a.name, "git_user.email": a.email} {
		if n.str() != "" {
			from[path] = f.pos(n)
		}
	}
	return from
}
