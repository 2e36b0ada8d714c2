// Package manifest finds manifests, compiles them through the CUE schema and
// explains every mistake at its place in the user's file.
package manifest

import (
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/provider"
)

// Pos is a place in a user's file, for provenance and diagnostics.
type Pos struct {
	File string // as shown to people
	Line int
}

// Fleet is everything that compiled: all agents in scope, each with its
// resolved bottle.
type Fleet struct {
	// Agents is sorted by name; a repository's agent shadows the home one.
	Agents []*Agent
	// Shadowed holds the home agents that a repository's agents hide, by name;
	// "home/NAME" means one of them.
	Shadowed []*Agent
	// Bottles holds every bottle that compiled, by name.
	Bottles map[string]*Bottle
	// BrokenAgents and BrokenBottles name what exists on disk but does not
	// compile: their instances are blocked, never removed. A bottle is broken
	// when an ancestor is, an agent when its bottle is; a shadowed agent is
	// listed as "home/NAME". Both are sorted.
	BrokenAgents  []string
	BrokenBottles []string
	// Manifests lists every file found, sound or broken.
	Manifests []Manifest
}

// Agent is a role manifest paired with its resolved bottle.
type Agent struct {
	Name   string
	File   string // absolute path
	Scope  Scope
	Bottle *Bottle
	Skills []string
	// GitUser is the effective identity: the agent's over the bottle's.
	GitUser  GitUser
	Replicas int
	Prompt   string
	// From says where each field stands: "bottle", "skills[0]", "replicas",
	// "prompt", and "git_user.name", "git_user.email" even where they are the
	// bottle's. What is not in it has its default.
	From map[string]Pos

	digest string
}

// Scope says whose directory an agent came from.
type Scope string

// Scopes.
const (
	ScopeHome       Scope = "home"
	ScopeRepository Scope = "repository"
)

// Bottle is a policy manifest after extends was resolved.
type Bottle struct {
	Name string
	File string // absolute path
	// Lineage is the bottle's name and then its ancestors, nearest first.
	Lineage   []string
	Env       []EnvVar // sorted by name
	Provider  ProviderDecl
	GitUser   GitUser
	Remotes   []Remote // sorted by name
	Egress    Egress
	Supervise bool
	Backend   string // "" means: decided by flag, environment or default
	Resources Resources
	Workspace Workspace
	// Repositories limits whose agents may use the bottle: nil means all
	// repositories, an empty list none. Home agents always may.
	Repositories []string // absolute paths
	// From says which file declared the value in force, by path: "env.PORT",
	// "git_user.name", "egress", "egress.routes[0].host", "resources.cpus",
	// and so on. What is not in it has its default.
	From map[string]Pos
}

// EnvKind says where an environment value comes from.
type EnvKind string

// Kinds of environment values.
const (
	EnvLiteral EnvKind = "literal"
	EnvHost    EnvKind = "host" // Value is the host variable's name
	EnvAsk     EnvKind = "ask"  // Value is the question, may be empty
)

// EnvVar is one declared environment variable.
type EnvVar struct {
	Name  string
	Kind  EnvKind
	Value string
	From  Pos
}

// ProviderDecl is agent_provider as declared.
type ProviderDecl struct {
	Template               string // provider.Default when not declared
	Dockerfile             string // absolute path, or ""
	Image                  string
	AuthToken              string
	ForwardHostCredentials bool
	// Custom is the user's own provider that Template names; nil for a built-in.
	Custom *provider.Custom
	From   Pos
}

// GitUser is an identity with where each field came from.
type GitUser struct {
	Name, Email         string
	NameFrom, EmailFrom string // "agent" or "bottle"; "" where the field is
}

// Remote is one git remote behind the gate.
type Remote struct {
	Name string
	// Upstream is canonical: without the scheme's own port and without a slash
	// at its end.
	Upstream string
	// IdentityFile is absolute or begins with "~/"; of an ssh upstream only.
	IdentityFile string
	// KnownHostKey is "TYPE BASE64".
	KnownHostKey string
	TokenRef     string
	// Push has its protected paths written out, the default ones too.
	Push egress.Push
	From Pos
}

// Egress is the resolved egress block.
type Egress struct {
	Routes     []egress.Route // Source is "bottle NAME.md:LINE"
	Network    string
	UpstreamCA string // absolute path, or ""
	Pipelock   bool
	ParentURL  string
	ParentRef  string
	From       Pos
}

// Resources bound an instance. Zero values are replaced by the defaults of
// reference: 2 cpus, 4 GiB, 512 pids.
type Resources struct {
	CPUs   float64
	Memory int64 // bytes
	Disk   int64 // bytes; 0 means the driver's default
	PIDs   int64
}

// Workspace says what of the host a bottle gets to work on.
type Workspace struct {
	Mode      string // none, copy or mount
	Path      string
	GuestPath string
}

// Options says where to look.
type Options struct {
	Home string // absolute BB_HOME
	Repo string // absolute repository root, or ""
	// Want narrows errors to what these agents use; empty means all.
	Want []string

	cwd string // stands for the working directory in tests
}

// shown is ShownPath, seen from the directory of a test.
func (o Options) shown(path string) string {
	if o.cwd != "" {
		return shownFrom(o.cwd, path)
	}
	return ShownPath(path)
}

// Load finds and compiles all manifests. The list holds every mistake of
// every file; with Want only errors that those agents need carry Error, the
// others are warnings.
func Load(o Options) (*Fleet, diag.List) { return load(o) }
