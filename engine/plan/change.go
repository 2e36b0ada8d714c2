package plan

import (
	"slices"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Action is what happens to one instance.
type Action string

// Actions, in the order a plan counts them.
const (
	None    Action = "none"
	Create  Action = "create"
	Start   Action = "start"
	Update  Action = "update"
	Replace Action = "replace"
	Remove  Action = "remove"
	Stop    Action = "stop"
	Blocked Action = "blocked"
)

// Symbol is the action's mark in a plan.
func (a Action) Symbol() string {
	return map[Action]string{
		None: " ", Create: "+", Start: "^", Update: "~", Replace: "-/+", Remove: "-", Stop: "v", Blocked: "!",
	}[a]
}

// Words is the action as a list, so that a reader can scan it for "remove".
func (a Action) Words() []string {
	if a == Replace {
		return []string{"remove", "create"}
	}
	return []string{string(a)}
}

// Reason is a stable word for why an instance changes.
type Reason string

// Reasons.
const (
	NotFound        Reason = "not_found"
	SpecChanged     Reason = "spec_changed"
	ImageChanged    Reason = "image_changed"
	Confinement     Reason = "confinement_changed"
	Stopped         Reason = "stopped"
	EgressChanged   Reason = "egress_changed"
	GitChanged      Reason = "git_changed"
	IdentityChanged Reason = "identity_changed"
	PromptChanged   Reason = "prompt_changed"
	SkillsChanged   Reason = "skills_changed"
	EnvMissing      Reason = "env_missing"
	LoginChanged    Reason = "login_changed"
	TokenRotated    Reason = "token_rotated"
	SSHAgentGone    Reason = "ssh_agent_gone"
	SidecarLost     Reason = "sidecar_lost"
	SidecarOutdated Reason = "sidecar_outdated"
	NetworkChanged  Reason = "network_changed"
	PipelockChanged Reason = "pipelock_changed"
	RulesChanged    Reason = "rules_changed"
	SidecarAltered  Reason = "sidecar_altered"
	AgentAltered    Reason = "agent_altered"
	BackendChanged  Reason = "backend_changed"
	NotDeclared     Reason = "not_declared"
	ScaledDown      Reason = "scaled_down"
	Requested       Reason = "requested"
	HalfMade        Reason = "half_made"
	ScopeGone       Reason = "scope_gone"
	ForeignOwner    Reason = "foreign_owner"
	ManifestBroken  Reason = "manifest_broken"
	NotAllowed      Reason = "not_allowed"
)

// Kinds of field differences.
const (
	Added   = "add"
	Removed = "remove"
	Changed = "change"
)

// FieldDiff is one difference. Values of secrets never occur in it.
type FieldDiff struct {
	// Kind is Added, Removed or Changed.
	Kind string `json:"kind"`
	Path string `json:"path"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
	// Opaque means that the value differs and is not shown.
	Opaque bool `json:"opaque,omitempty"`
}

// Change is what the plan says about one instance.
type Change struct {
	ID      spec.ID
	Backend string
	Action  Action
	Reasons []Reason
	Diff    []FieldDiff
	// Spec is the desire; nil for a removal.
	Spec *spec.Spec
	// Kept marks a removal that is shown only: it needs --prune.
	Kept bool
	// Note says what blocks, or what is lost, for people.
	Note string
	// Fresh means that nothing of the instance existed: what a failed creation
	// leaves of it may be removed again.
	Fresh bool
	// Sessions is how many commands run in the agent that this change ends.
	// Diff does not know: whoever executes asks the driver.
	Sessions int
	// renewGate means that the sidecar has to be made, or made anew.
	renewGate bool
	// seen and want identify what the change is from and to: see Fingerprint.
	seen, want string
}

// Ends reports whether the change ends what runs in the agent.
func (c *Change) Ends() bool {
	return c.Action == Replace || c.Action == Stop || c.Action == Remove && !c.Kept
}

// Op is one driver call.
type Op string

// Operations.
const (
	OpPrepare       Op = "prepare"
	OpEnsureImage   Op = "ensure_image"
	OpCreateSidecar Op = "create_sidecar"
	OpStartSidecar  Op = "start_sidecar"
	OpConfigure     Op = "configure"
	OpCreateAgent   Op = "create_agent"
	OpStartAgent    Op = "start_agent"
	OpProvision     Op = "provision"
	OpRemoveAgent   Op = "remove_agent"
	OpRemoveSidecar Op = "remove_sidecar"
	OpRemoveVolumes Op = "remove_volumes"
	OpStop          Op = "stop"
)

// Node is one operation with its dependencies.
type Node struct {
	ID      int
	Op      Op
	Backend string
	// Instance is zero for shared operations.
	Instance spec.ID
	// Spec is nil for removals of what is not declared.
	Spec *spec.Spec
	// Parts are the live parts that a configure claims and a provision does.
	Parts     []string
	DependsOn []int
	Cause     string
}

// Plan is the whole difference.
type Plan struct {
	// Drift is what changed behind bb's back, sorted by instance.
	Drift     []Drift
	Changes   []Change // sorted by instance
	Nodes     []Node   // in topological order
	Unchanged int
	// Approved is what people allow beside the manifests. Diff does not know: who
	// prints asks.
	Approved []Approved
	// Notes are things to know that change nothing.
	Notes diag.List
}

// Empty reports whether there is nothing to do and nothing in the way.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Count returns how many changes have one of the actions.
func (p *Plan) Count(actions ...Action) int {
	n := 0
	for _, c := range p.Changes {
		if slices.Contains(actions, c.Action) {
			n++
		}
	}
	return n
}
