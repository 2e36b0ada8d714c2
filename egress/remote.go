package egress

// Remote is an upstream repository that the git gate serves to a bottle under a
// name: http://git-gate:9420/NAME.git.
type Remote struct {
	// Name is of letters, digits, dots, underscores and dashes.
	Name string `json:"name"`
	// Upstream is ssh://USER@HOST[:PORT]/PATH or https://HOST[:PORT]/PATH,
	// without a password.
	Upstream string `json:"upstream"`
	// HostKey pins an ssh upstream: "TYPE BASE64", as in a known_hosts file.
	HostKey string `json:"host_key,omitempty"`
	// Slot names the credential among the document's tokens: a GIT_CREDENTIAL_<n>.
	Slot string `json:"slot"`
	Push Push   `json:"push"`
	// Source is where it was declared, for people.
	Source string `json:"source,omitempty"`
}

// Push says what of a remote an agent may change. The zero value is the
// default: branches, but the upstream's default branch; no force, no delete,
// no tags; and no protected path is named.
type Push struct {
	// Off refuses every push.
	Off bool `json:"off,omitempty"`
	// Allow lists patterns of full ref names; none means refs/heads/* without
	// the upstream's default branch.
	Allow  []string `json:"allow,omitempty"`
	Force  bool     `json:"force,omitempty"`
	Delete bool     `json:"delete,omitempty"`
	Tags   bool     `json:"tags,omitempty"`
	// Protect lists patterns of paths whose change is refused. It is always
	// written out: DefaultProtect, unless the manifest says else.
	Protect []string `json:"protect,omitempty"`
}

// SlotGit is the prefix of the slots that hold credentials of remotes.
const SlotGit = "GIT_CREDENTIAL_"

// GitGate is where a bottle reaches the git gate.
const GitGate = "http://git-gate:9420"
