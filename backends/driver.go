// Package backends defines what a driver is: the one interface that Docker,
// smolvm and the in-memory fake implement, and that the conformance suite
// holds them to.
package backends

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Driver runs bottles on one kind of machine. Every method may be called
// again after a crash at any point: it finishes what was begun, and creating
// what exists or removing what is gone is success. A method touches only
// resources that are ours (labels and computed name agree); a name taken by
// another's resource is an error that says so.
type Driver interface {
	// Name is the backend's word in manifests: "docker".
	Name() string
	Capabilities() plan.Capabilities
	// Check fails within two seconds when an engine of this machine is missing,
	// and within fifteen when a far one is, saying what is missing and how to
	// get it (a diag.Diagnostic).
	Check(ctx context.Context) error
	// Observe changes nothing and runs nothing inside a bottle.
	Observe(ctx context.Context, q plan.Query) (plan.World, error)

	// Prepare makes what all instances share: binary, sidecar image, network.
	// Builds go through via; nil means as the engine and this process do.
	Prepare(ctx context.Context, via *BuildProxy) error
	EnsureImage(ctx context.Context, s *spec.Spec, via *BuildProxy) error
	// CreateSidecar creates and starts the sidecar, unconfigured: it passes
	// nothing. A sidecar of ours that does not fit is replaced; its CA stays.
	CreateSidecar(ctx context.Context, s *spec.Spec) error
	StartSidecar(ctx context.Context, s *spec.Spec) error
	// Configure swaps in the live half and claims parts as done.
	Configure(ctx context.Context, s *spec.Spec, secrets spec.Secrets, parts []string) error
	// CreateAgent creates the agent without starting it.
	CreateAgent(ctx context.Context, s *spec.Spec) error
	// StartAgent places all files and the CA, and starts the agent. One that
	// never ran gets its copied workspace first; one that did keeps its own.
	StartAgent(ctx context.Context, s *spec.Spec) error
	// Provision does what must run in a started agent: secret environment,
	// what git is told (spec.GitConfig), and the files of the named live parts.
	Provision(ctx context.Context, s *spec.Spec, secrets spec.Secrets, parts []string) error
	// Stop ends what runs of an instance, the agent first, and keeps all of it.
	// One that does not run, or is gone, is success.
	Stop(ctx context.Context, id spec.ID) error
	RemoveAgent(ctx context.Context, id spec.ID) error
	RemoveSidecar(ctx context.Context, id spec.ID) error
	RemoveVolumes(ctx context.Context, id spec.ID) error

	// Exec runs a command as the agent's user, with the bottle's environment,
	// and returns its exit code. When ctx ends, or this process dies, the
	// command and all that it started in the bottle ends too.
	Exec(ctx context.Context, id spec.ID, r ExecRequest) (int, error)
	// Logs copies the agent's or the sidecar's output to w.
	Logs(ctx context.Context, id spec.ID, r LogRequest, w io.Writer) error
	// Control sends one command to the sidecar's control socket and returns
	// its reply line: "get", "ca".
	Control(ctx context.Context, id spec.ID, command string) ([]byte, error)
	// AccessLog copies one of the sidecar's logs to w: one egress.Reply, whose
	// data is an egress.LogSpan, and then lines, as egress.LogRequest has it.
	// It returns at the log's end, or following, when ctx ends (without an
	// error) or the sidecar does. It never holds the log in memory.
	AccessLog(ctx context.Context, id spec.ID, r egress.LogRequest, w io.Writer) error

	// ControlStream opens a command of the sidecar's control socket that is a
	// conversation ("agent"), and carries stdin to it and what it says to stdout.
	// It returns when the sidecar or stdin ends, or ctx does (with its error).
	ControlStream(ctx context.Context, id spec.ID, command string, stdin io.Reader, stdout io.Writer) error

	// Sessions counts the commands that run in the agent for somebody: attach,
	// exec, run. An agent that is not there or does not run has none.
	Sessions(ctx context.Context, id spec.ID) (int, error)

	// Orphans lists what bb made for all instances of this owner and no
	// instance uses: images of older versions, old binaries, an unused network.
	Orphans(ctx context.Context) ([]Orphan, error)
	// RemoveOrphan removes one, unless something has come to use it.
	RemoveOrphan(ctx context.Context, o Orphan) error
}

// Mounter is a driver that cannot always lend a directory of this machine to a
// bottle.
type Mounter interface {
	// CanMount says why it cannot, or nil.
	CanMount() error
}

// Meter is a driver that can tell what an agent needs at this moment.
type Meter interface {
	// Memory is in bytes, 0 when the agent does not run.
	Memory(ctx context.Context, id spec.ID) (int64, error)
}

// Archiver is a driver that can read what does not run.
type Archiver interface {
	// Archive copies a file or directory of a stopped agent to w, as a tar stream
	// in the agent's own words; fs.ErrNotExist when it is not there.
	Archive(ctx context.Context, id spec.ID, path string, w io.Writer) error
}

// Freezer is a driver that can make an image of an agent.
type Freezer interface {
	// Freeze makes an image of that name, without bb's labels and without the
	// bottle's environment, and returns the engine's id of it.
	Freeze(ctx context.Context, id spec.ID, image string) (string, error)
}

// Preflighter is a driver that can say what this machine lacks for an instance.
type Preflighter interface {
	// Preflight returns it (a diag.Diagnostic), or nil. It makes nothing.
	Preflight(ctx context.Context, s *spec.Spec) error
}

// Wanter is a driver that keeps what makes the next bottle cheaper.
type Wanter interface {
	// Want says which instances are desired, in view: what they are made of is no
	// orphan.
	Want(specs []*spec.Spec)
}

// Orphan is a shared resource of ours that serves nothing.
type Orphan struct {
	Kind string // container, volume, image, network, directory, file
	Name string
	Ref  string // the engine's id
	Why  string // for people: "no sidecar uses it"
	Size int64  // bytes; 0 means unknown
}

// ExecRequest is one command in a bottle.
type ExecRequest struct {
	Argv           []string
	Stdin          io.Reader // nil means empty
	Stdout, Stderr io.Writer // required; Stderr is unused with a Terminal
	// Session names a session that a bottle has once: while it lives, another
	// of its name is refused with ErrSessionBusy. "" means none.
	Session string
	// Terminal gives the command a terminal of its own; nil means pipes.
	Terminal *Terminal
}

// Terminal is the terminal that a command gets.
type Terminal struct {
	Type   string // TERM
	Size   Size
	Resize <-chan Size // nil means that the size never changes
}

// Size of a terminal, in characters.
type Size struct{ Rows, Cols uint16 }

// ErrSessionBusy says that a session of that name lives.
var ErrSessionBusy = errors.New("a session of this name is attached already")

// LogRequest selects what Logs copies.
type LogRequest struct {
	Sidecar bool // the sidecar's state lines instead of the agent's output
	Follow  bool
	Tail    int // 0 means all
}

// BringsBack is the next step with a bottle that is off: an apply knows only those
// that are declared, and their replicas are numbers.
func BringsBack(id spec.ID) string {
	hint := "bb start --resume " + id.String() + " brings it back"
	if id.Replica == "" || id.Replica[0] <= '9' {
		hint += ", and bb apply " + id.Agent
	}
	return hint
}

// Do performs one node of a plan on its driver. Builds go through the parent
// proxy of the node's spec; a node that prepares may have one for that alone.
func Do(ctx context.Context, d Driver, n plan.Node, secrets spec.Secrets) error {
	switch n.Op {
	case plan.OpPrepare:
		return d.Prepare(ctx, BuildProxyOf(n.Spec, secrets))
	case plan.OpEnsureImage:
		return d.EnsureImage(ctx, n.Spec, BuildProxyOf(n.Spec, secrets))
	case plan.OpCreateSidecar:
		return d.CreateSidecar(ctx, n.Spec)
	case plan.OpStartSidecar:
		return d.StartSidecar(ctx, n.Spec)
	case plan.OpConfigure:
		return d.Configure(ctx, n.Spec, secrets, n.Parts)
	case plan.OpCreateAgent:
		return d.CreateAgent(ctx, n.Spec)
	case plan.OpStartAgent:
		return d.StartAgent(ctx, n.Spec)
	case plan.OpProvision:
		return d.Provision(ctx, n.Spec, secrets, n.Parts)
	case plan.OpStop:
		return d.Stop(ctx, n.Instance)
	case plan.OpRemoveAgent:
		return d.RemoveAgent(ctx, n.Instance)
	case plan.OpRemoveSidecar:
		return d.RemoveSidecar(ctx, n.Instance)
	case plan.OpRemoveVolumes:
		return d.RemoveVolumes(ctx, n.Instance)
	}
	return fmt.Errorf("unknown operation %q", n.Op)
}
