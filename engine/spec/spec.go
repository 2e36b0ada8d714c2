package spec

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Where things are inside every bottle.
const (
	User       = "node"
	UID        = 1000
	GID        = 1000
	Home       = "/home/node"
	Workdir    = "/home/node/workspace"
	BinaryPath = "/bb/bin/bb"
	// CAFile holds bb's certificate alone, CABundle the image's roots and it.
	CAFile     = "/usr/local/share/ca-certificates/bb.crt"
	CABundle   = "/etc/ssl/certs/ca-certificates.crt"
	PromptFile = "/home/node/.bb/prompt.md"
	// CanaryEnv is a variable that an honest program has no use for and that
	// whoever collects secrets takes along.
	CanaryEnv = "BACKUP_ADMIN_TOKEN"
)

// Spec is what one instance should be. It holds no secret: values of token
// references and of host environment variables travel as Secrets.
type Spec struct {
	ID      ID
	Backend string
	Source  Source
	// Image says how to get the agent's image. It is a cause of its own
	// (image_changed) and not part of the hash.
	Image Image
	Fixed Fixed
	Gate  Gate
	Live  Live
	// Files are placed before the first process starts.
	Files   []File
	Program Program
	// Canary is the value that CanaryEnv has in Fixed.Env, and that the sidecar
	// looks for. No list, label or diff holds it.
	Canary string
	// HiddenEnv names variables that lists shown to people leave out.
	HiddenEnv []string
	// WorkspaceRoot is the directory of a new instance where Fixed.Workspace
	// names none; "" means that one has to be named.
	WorkspaceRoot string
	// Logins are the logins of the host that are lent to the bottle.
	Logins []Login
	// Amended is the whole document, where it was not made of manifests: see Amend.
	Amended *egress.Document `json:"-"`
}

// Login is a login of the host whose token the sidecar puts on requests.
type Login struct {
	From    string // where it was read, for people
	Expires time.Time
}

// Source says which manifests made a spec.
type Source struct {
	AgentFile  string // absolute
	BottleFile string // absolute
	Bottle     string
	Lineage    []string
}

// Label is the text for people: the base names of the manifests.
func (s Source) Label() string {
	var names []string
	for _, path := range []string{s.AgentFile, s.BottleFile} {
		if path != "" {
			names = append(names, filepath.Base(path))
		}
	}
	return strings.Join(names, ", ")
}

// Image is taken as it is (Ref) or built (Recipe, or Dockerfile with its
// directory as the context).
type Image struct {
	Name       string // short name for tags and people: "shell", "dev"
	Ref        string
	Dockerfile string // absolute
	Recipe     string // content of an embedded Dockerfile
	Base       string // BB_BASE_IMAGE, the build argument BASE
}

// Fixed is the half of a spec whose change means replace.
type Fixed struct {
	Backend   string    `json:"backend"`
	Provider  string    `json:"provider"`
	Env       []Env     `json:"env"`
	Resources Resources `json:"resources"`
	Workspace Workspace `json:"workspace"`
	Supervise bool      `json:"supervise"`
	// Files is the digest of the files that only a replacement can change.
	Files string `json:"files"`
}

// Kinds of environment values.
const (
	EnvLiteral  = "literal"
	EnvHost     = "host"     // Value is the host variable's name
	EnvAsk      = "ask"      // Value is the question
	EnvProvider = "provider" // set by the provider
	EnvBB       = "bb"       // proxy and trust, the same in every bottle, and the canary
)

// Env is one variable of the agent.
type Env struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// Secret reports whether the value travels as a secret, never in a spec.
func (e Env) Secret() bool { return e.Kind == EnvHost || e.Kind == EnvAsk }

// Resources bound the agent.
type Resources struct {
	CPUs   float64 `json:"cpus"`
	Memory int64   `json:"memory"` // bytes
	Disk   int64   `json:"disk,omitempty"`
	PIDs   int64   `json:"pids"`
}

// Modes of a workspace.
const (
	WorkspaceNone  = "none"
	WorkspaceCopy  = "copy"  // streamed in before the first start
	WorkspaceMount = "mount" // the directory of the host itself
)

// Workspace says what of the host a bottle works on.
type Workspace struct {
	Mode string `json:"mode"`
	// Path is a real directory of the host; "" with mode none, and until the
	// plan knows what an existing instance has.
	Path      string `json:"path,omitempty"`
	GuestPath string `json:"guest_path"`
}

// Declared reports whether the bottle gets something of the host.
func (w Workspace) Declared() bool { return w.Mode == WorkspaceCopy || w.Mode == WorkspaceMount }

// Workdir is where programs start in the bottle.
func (w Workspace) Workdir() string {
	if w.Declared() && w.GuestPath != "" {
		return w.GuestPath
	}
	return Workdir
}

// Gate is what only a replacement of the sidecar can change.
type Gate struct {
	// Network is the outer network; empty means bb's own.
	Network string `json:"network"`
	// Pipelock puts the pipelock program into the sidecar.
	Pipelock bool `json:"pipelock,omitempty"`
}

// Live is the half that is updated in place.
type Live struct {
	Routes []egress.Route // merged, with slots
	// Tokens maps a slot to its token reference.
	Tokens     map[string]string
	UpstreamCA string // PEM
	// Parent is the proxy behind the sidecar; its Slot is one of Tokens.
	Parent *egress.Parent
	// Remotes are sorted by name; their slots are among Tokens.
	Remotes []egress.Remote
	// Values may pass in spite of a detector: a person approved them.
	Values  []egress.ApprovedValue
	GitUser GitUser
	Prompt  string
	Skills  []Skill
	// Login is the digest of the files that stand in for a login, or else of the
	// commands that verify a bottle.
	Login string
	// Unknown lists parts that cannot be told now: they are no difference.
	Unknown []string
}

// GitUser is the effective identity, with where each field came from.
type GitUser struct {
	Name, Email         string
	NameFrom, EmailFrom string
}

// Skill is one directory copied into the agent's skills.
type Skill struct {
	Name   string
	Digest string
}

// Live parts: the keys of Document.Live.
const (
	PartEgress = "egress"
	// PartGit is what the git gate serves, and the rewrite rules in the bottle.
	PartGit      = "git"
	PartIdentity = "identity"
	PartPrompt   = "prompt"
	PartSkills   = "skills"
	// PartEnv is the secret environment: that it was handed over, not what.
	PartEnv   = "env"
	PartLogin = "login"
)

// File is one file of the bottle. Paths are absolute and below Home unless
// Root; every parent that does not exist is made with the file's owner.
type File struct {
	Path    string
	Mode    int64 // permission bits
	Content []byte
	Dir     bool
	// Root means owned by root instead of the agent's user.
	Root bool
	// Part is the live part it belongs to, or "" for the fixed half.
	Part string
}

// Program is how the provider's program is started in a bottle.
type Program struct {
	Interactive []string
	// Resume goes on with the last conversation; the same as Interactive where
	// the program knows no such thing.
	Resume []string
	// Headless reads the prompt from standard input, and HeadlessResume takes it
	// as the next one of the last conversation; nil means unsupported.
	Headless, HeadlessResume []string
	Verify                   [][]string
	// Transcript is the directory in which it keeps its conversations, absolute;
	// "" means none.
	Transcript string
	// Talks is the pattern (path.Match) of the files below Transcript that Resume
	// can go on with; "" means all.
	Talks string
}

// Secrets are the values a spec refers to. They are never logged, hashed
// without a key, or written to a file of the host.
type Secrets struct {
	Tokens map[string]string // by slot
	Env    map[string]string // by variable name, kinds host and ask
	// Digests is keyed by slot: see Key.Digest.
	Digests map[string]string
}

// HasSecretEnv reports whether some environment value travels as a secret.
func (s *Spec) HasSecretEnv() bool {
	return slices.ContainsFunc(s.Fixed.Env, Env.Secret)
}

// Asks reports whether a person has to give some environment value.
func (s *Spec) Asks() bool {
	return slices.ContainsFunc(s.Fixed.Env, func(e Env) bool { return e.Kind == EnvAsk })
}

// Rules are what the sidecar of s should enforce.
func (s *Spec) Rules() egress.Rules {
	return egress.Rules{
		Routes: s.Live.Routes, UpstreamCA: s.Live.UpstreamCA, Parent: s.Live.Parent, Pipelock: s.Gate.Pipelock, Remotes: s.Live.Remotes,
		Supervise: s.Fixed.Supervise, ApprovedValues: s.Live.Values,
	}
}
