// Package dash is the screen of bb dashboard: what all bottles do, what they ask
// for, what was refused, and what a plan would change. It knows no engine and no
// manifest: a Source looks, and bb's own commands do what a key stands for.
package dash

import (
	"context"
	"os/exec"
	"time"
)

// Source is what the screen shows and what its keys do. Texts of an agent may
// hold anything: the screen escapes them.
type Source interface {
	// Look takes one snapshot. Its error is shown, and the last snapshot stays.
	Look(ctx context.Context) (Snapshot, error)
	// Command is bb itself as a key calls it, in this home.
	Command(c Call) *exec.Cmd
}

// Call is one command of bb.
type Call struct {
	Args []string
	// Dir is the directory to call it in; "" is that of the screen.
	Dir string
	// Ended is a file for the exit code of an agent's program, which is not the
	// command's own; "" asks for none.
	Ended string
}

// Snapshot is all that there is at one moment.
type Snapshot struct {
	At        time.Time
	Bottles   []Bottle
	Proposals []Proposal
	Denials   []Denial // newest last
	Changes   []Change // of the plan
	Plan      string   // as bb plan prints it, "" when nothing could be planned
	Summary   string   // of the plan, one line
	// Problems are what is wrong: in manifests, or with what does not answer.
	Problems []string
	// Broken says that manifests are among them.
	Broken bool
}

// States of a bottle that bb ps does not know.
const (
	NotThere   = "not there"
	OnDemand   = "on demand"   // declared with no replicas: bb start makes one
	NotAllowed = "not allowed" // a repository's agent that nobody read
	Broken     = "broken"      // its manifest
)

// States that it knows, as far as keys ask for them.
const (
	Running = "running"
	Stopped = "stopped"
)

// Bottle is one instance, or an agent that is declared and not there.
type Bottle struct {
	// ID tells it from all others, also from one of the same name.
	ID string
	// Name is for people, Exact what means this one alone in a command, and Agent
	// the agent in one: "home/coder", "home/coder_1", "home/coder".
	Name, Exact, Agent string
	// Dir is where commands about it are called, and Where that for people. Elsewhere
	// says that the plan knows nothing of it.
	Dir, Where string
	Elsewhere  bool
	// There says that anything of it exists, AdHoc that bb start made it.
	There, AdHoc bool

	Policy, Backend   string
	State, Sidecar    string
	Created           time.Time // zero: unknown
	Requests, Denials int
	Bytes, Memory     int64 // 0: unknown
}

// Change is what a plan does to one bottle.
type Change struct {
	Agent, Name string // as in Bottle
	Action      string // create, start, update, replace, remove or blocked
	Kept        bool   // a removal that is shown only
	Note        string // what blocks, or what is lost
}

// Proposal is what an agent, or its sidecar, asks for.
type Proposal struct {
	ID, Short    string
	Bottle       string // as in Bottle.Name
	Dir          string
	What, Why    string
	Labels       []string
	Since        time.Time
	Whole        string // as bb supervise show prints it
	NoYes, NoMod string // why it cannot be approved, or changed; "" when it can
	// Digest names the proposal with the policy that it was judged by: an answer
	// is for that alone.
	Digest string
}

// Denial is one thing that did not pass: a request, or a push.
type Denial struct {
	ID            string // tells it from all others
	At            time.Time
	Bottle, Agent string // as in Bottle
	Dir           string
	Method, URL   string
	Text          string
	// Whole is all that there is to say about it; "" when bb explain says more.
	Whole string
}
