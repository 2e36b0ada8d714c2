// Package dash is the dashboard: one screen for all bottles, what they ask for,
// what was denied, and the plan. It knows no engine and no manifest: what it
// shows it is told, and what a key stands for another bb does.
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
	// Command is bb itself with these arguments, in this home.
	Command(args ...string) *exec.Cmd
}

// Snapshot is all that there is at one moment.
type Snapshot struct {
	At        time.Time
	Bottles   []Bottle
	Proposals []Proposal
	Denials   []Denial // newest last
	Plan      string   // as bb plan prints it
	Changes   int      // of the plan
	// Mistake is what is wrong with the manifests, "" when nothing is.
	Mistake string
}

// Bottle is one instance, or an agent that is declared and not there.
type Bottle struct {
	ID, Agent, Backend string
	State, Sidecar     string
	Created            time.Time // zero: unknown
	Requests, Denials  int
	Bytes, Memory      int64 // 0: unknown
}

// Proposal is what an agent, or its sidecar, asks for.
type Proposal struct {
	ID, Bottle, Kind string
	What, Why        string
	Labels           []string
	Since            time.Time
	// Digest names the proposal with the policy that it was judged by: an answer
	// is for that alone.
	Digest string
}

// Denial is one line of the sidecars' logs.
type Denial struct {
	At                time.Time
	Bottle, URL, Text string
}
