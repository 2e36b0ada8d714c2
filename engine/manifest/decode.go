package manifest

import (
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"

	"github.com/bot-bottle/bb/engine/spec"
)

// part is one field of a bottle as some file declared it. Presence decides in
// a merge, not truth.
type part[T any] struct {
	value T
	set   bool
	from  Pos
	node  *node    // everything below it, for provenance
	expr  ast.Expr // as the user wrote it, for the second judgement
}

func declare[T any](f *file, n *node, value T) part[T] {
	if n == nil {
		return part[T]{}
	}
	return part[T]{value: value, set: true, from: f.pos(n), node: n, expr: n.expr}
}

// policy is a bottle's content, declared by one file or merged from several.
type policy struct {
	env          map[string]part[EnvVar]
	name, email  part[string]
	remotes      part[[]Remote]
	egress       part[Egress]
	provider     part[ProviderDecl]
	supervise    part[bool]
	backend      part[string]
	resources    part[Resources]
	workspace    part[Workspace]
	repositories part[[]string]
}

// decodeBottle turns a file into values and reports what only Go can judge.
func (f *file) decodeBottle() *policy {
	root := f.root
	p := &policy{env: f.decodeEnv(root.get("env"))}
	identity := f.identity()
	if n := identity.get("name"); n != nil {
		p.name = declare(f, n, n.str())
	}
	if n := identity.get("email"); n != nil {
		p.email = declare(f, n, n.str())
	}
	remotes := root.get("git", "remotes")
	p.remotes = declare(f, remotes, f.decodeRemotes(remotes))
	p.egress = declare(f, root.get("egress"), f.decodeEgress(root.get("egress")))
	p.provider = declare(f, root.get("agent_provider"), f.decodeProvider(root.get("agent_provider")))
	p.supervise = declare(f, root.get("supervise"), root.get("supervise").isTrue())
	p.backend = declare(f, root.get("backend"), root.get("backend").str())
	p.resources = declare(f, root.get("resources"), f.decodeResources(root.get("resources")))
	p.workspace = declare(f, root.get("workspace"), f.decodeWorkspace(root.get("workspace")))
	p.repositories = declare(f, root.get("repositories"), f.decodeRepositories(root.get("repositories")))
	return p
}

// identity is git_user in either spelling.
func (f *file) identity() *node {
	if n := f.root.get("git_user"); n != nil {
		return n
	}
	return f.root.get("git", "user")
}

func (f *file) decodeResources(n *node) Resources {
	return Resources{
		CPUs:   n.get("cpus").number(),
		Memory: f.size(n.get("memory")),
		Disk:   f.size(n.get("disk")),
		PIDs:   n.get("pids").integer(0),
	}
}

// decodeRepositories returns absolute paths. An empty list is one: then no
// repository may use the bottle.
func (f *file) decodeRepositories(n *node) []string {
	out := []string{}
	for _, item := range n.each() {
		out = append(out, f.hostPath(item.str()))
	}
	return out
}

func (f *file) decodeWorkspace(n *node) Workspace {
	w := Workspace{Mode: n.get("mode").str(), GuestPath: n.get("guest_path").str()}
	if path := n.get("path"); path != nil {
		w.Path = f.hostPath(path.str())
		if w.Mode == "" || w.Mode == spec.WorkspaceNone {
			f.failKey(path, "add mode: copy or mode: mount", "workspace.path has no meaning without a mode")
		}
	}
	return w
}

// size reads 512MiB; the schema has judged the form.
func (f *file) size(n *node) int64 {
	text := n.str()
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		digits, ok := strings.CutSuffix(text, unit)
		if !ok {
			continue
		}
		v, err := strconv.ParseInt(digits, 10, 64)
		if shift := 10 * (i + 1); err == nil && v<<shift>>shift == v && v<<shift > 0 {
			return v << shift
		}
		if digits != "" && strings.Trim(digits, "0123456789") == "" {
			f.fail(n, "", "%s is too large", n.path)
		}
		return 0
	}
	return 0
}

// filled reports a list that is there but empty: whether that means all or
// nothing is not for bb to guess.
func (f *file) filled(n *node) []*node {
	if n.is(isList) && len(n.items) == 0 {
		f.fail(n, "remove the key or fill the list", "%s must not be empty", n.path)
	}
	return n.each()
}
