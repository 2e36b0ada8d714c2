// Package sidecar is the process between one bottle and the world. It has no
// TCP listener: the bottle comes in by the door, a unix socket in a volume that
// the agent mounts read-only, and the host comes in by the control socket,
// which lies in no shared volume and answers its own user only. Without a
// document from the host it passes nothing.
package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate"
	"github.com/bot-bottle/bb/egress/proxy"
	"github.com/bot-bottle/bb/egress/supervise"
)

// softMemory is where garbage is collected more eagerly, below what engines give
// a sidecar: the rest is git's.
const softMemory = 320 << 20

// gcPercent keeps what idle connections need small; what is hot here is no
// garbage.
const gcPercent = 50

// defaultMaxConns is what Options mean without MaxConns.
const defaultMaxConns = 2048

// Options say where a sidecar lives: who starts one names all three paths.
type Options struct {
	DoorSocket    string
	ControlSocket string
	// ControlKey is what the host must say first on that socket, where others of
	// this user reach it: see egress.NewControlKey. "" asks for none.
	ControlKey string
	// CADir keeps the bottle's certificate authority; only the sidecar mounts it.
	CADir string
	// GitDir keeps the git gate's mirrors; "" means CADir/git.
	GitDir string
	// Instance, if set, is the only one whose documents are taken; otherwise
	// the first document settles it.
	Instance string
	// Build is repeated in state lines.
	Build string
	// Stdout gets state lines and nothing else, Stderr one line an event.
	Stdout, Stderr io.Writer
	// Pipelock is the program of a document that wants one as its last hop, and
	// PipelockDir a private directory for it; "" means that there is none.
	Pipelock, PipelockDir string
	// MaxConns bounds the door; it is lowered to fit the descriptor limit.
	MaxConns int

	// newProxy is replaced in tests.
	newProxy func(opts Options, log func(entry any)) (Proxy, error)
	newGate  func(gitgate.Options) (Gate, error)
	// ask asks a person about a request that waits.
	ask proxy.Ask
	// note writes one line an event.
	note func(format string, args ...any)
}

// Proxy is what the sidecar needs of the intercepting proxy.
type Proxy interface {
	// ServeConn serves one client of the explicit proxy, ServeTLS one of the
	// transparent port 443 and ServePlain one of 80. Each returns at its end.
	ServeConn(conn *net.UnixConn)
	ServeTLS(conn *net.UnixConn)
	ServePlain(conn *net.UnixConn)
	// Covers reports whether the policy in force names a host.
	Covers(host string) bool
	// Prepare judges a document whose tokens all carry their values, and makes
	// what it needs beside what is in force. One of the two functions is to be
	// called: commit puts it in force from the next request on, whole, and drop
	// forgets it. An error changes nothing.
	Prepare(doc egress.Document) (commit, drop func(), err error)
	// CertPEM is the authority that a bottle must trust.
	CertPEM() []byte
	// Close ends every connection, upstream ones too.
	Close() error
}

// Gate is what the sidecar needs of the git gate: see gitgate.Gate.
type Gate interface {
	Swap(doc egress.Document) error
	ServeConn(conn net.Conn)
	Close() error
}

// Run is the sidecar until ctx ends. It hardens its process first.
func Run(ctx context.Context, opts Options) error {
	opts = opts.withDefaults()
	opts.MaxConns = doorLimit(opts.MaxConns)
	// net/http logs what an upstream sent unasked: it could echo a credential.
	log.SetOutput(io.Discard)
	debug.SetMemoryLimit(softMemory)
	debug.SetGCPercent(gcPercent)
	if err := harden(); err != nil {
		return err
	}
	if err := apart(opts); err != nil {
		return err
	}
	if err := os.MkdirAll(opts.CADir, 0o700); err != nil {
		return err
	}
	state := &state{opts: opts, vault: &vault{}, queue: supervise.New()}
	opts.ask = state.ask
	opts.note = (&notes{w: opts.Stderr, held: state.vault, repeat: state.repeat}).add
	logs := openLogs(opts)
	access := newJournal(logs[egress.LogAccess], state.instance, state.vault.secrets)
	defer access.close()
	pushes := newJournal(logs[egress.LogGit], state.instance, state.vault.secrets)
	defer pushes.close()
	var err error
	if state.proxy, err = opts.newProxy(opts, access.add); err != nil {
		return err
	}
	defer state.proxy.Close()
	control, err := listen(opts.ControlSocket, 0o600)
	if err != nil {
		return err
	}
	defer control.Close()
	// After that: it clears away what a sidecar left that does not live any more.
	if state.gate, err = openGate(opts, &state.agent, pushes.add, state.tellPush); err != nil {
		return err
	}
	defer state.gate.Close()
	state.tools = sync.OnceValue(func() *supervise.Server { // most bottles never ask
		return supervise.NewServer(state.queue, state.routes, opts.Build)
	})
	door, err := listen(opts.DoorSocket, 0o666)
	if err != nil {
		return err
	}
	defer door.Close()
	debug.FreeOSMemory() // what beginning took: much of the program is never used here
	if err := state.announce(egress.StateLine{State: egress.StateUnconfigured}); err != nil {
		return err
	}

	doors := &server{name: "door", note: opts.note, limit: opts.MaxConns, handle: newDispatch(state, access.deniedName).serve}
	controls := newController(state, logs, opts.note).server()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		controls.run(ctx, control)
	}()
	doors.run(ctx, door)
	<-ended
	return nil
}

func (o Options) withDefaults() Options {
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	if o.MaxConns <= 0 {
		o.MaxConns = defaultMaxConns
	}
	if o.newProxy == nil {
		o.newProxy = openProxy
	}
	if o.newGate == nil {
		o.newGate = func(g gitgate.Options) (Gate, error) { return gitgate.Open(g) }
	}
	if o.GitDir == "" && o.CADir != "" {
		o.GitDir = filepath.Join(o.CADir, gitDirName)
	}
	return o
}

// apart refuses paths that are missing, or that would put the control socket or
// the authority's key into the directory that the agent mounts.
func apart(opts Options) error {
	if opts.DoorSocket == "" || opts.ControlSocket == "" || opts.CADir == "" {
		return errors.New("a sidecar needs a door socket, a control socket and a ca directory")
	}
	shared := filepath.Dir(filepath.Clean(opts.DoorSocket))
	private := map[string]string{"control socket": filepath.Dir(opts.ControlSocket), "ca directory": opts.CADir, "git directory": cmp.Or(opts.GitDir, opts.CADir)}
	if opts.Pipelock != "" {
		if opts.PipelockDir == "" {
			return errors.New("pipelock needs a directory")
		}
		private["pipelock directory"] = opts.PipelockDir
	}
	for name, dir := range private {
		rel, err := filepath.Rel(shared, filepath.Clean(dir))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if rel != ".." && !strings.HasPrefix(rel, "../") {
			return errors.New("the " + name + " must not lie in the door's directory, which the agent can see")
		}
	}
	return nil
}
