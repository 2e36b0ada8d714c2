// Package gitgate is the git gate: it serves each declared remote to the bottle
// as a mirror that is fetched on demand, and passes a push on to the upstream
// only after it was judged and searched whole. It runs the real git as child
// processes and speaks smart HTTP to the bottle.
package gitgate

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bb/egress/child"
	"github.com/bot-bottle/bb/egress/gitgate/leaks"
	"github.com/bot-bottle/bb/egress/gitgate/upstream"
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
	// Refused gets one entry for each push that was refused, and how many further
	// refs it had; nil where nobody is told.
	Refused func(e Entry, more int)
	// Note gets one clean line an event.
	Note func(format string, args ...any)
	// Upstream reaches the upstreams; nil means an upstream.Access without an
	// ssh-agent of the host.
	Upstream Upstream
}

// Upstream runs git against an upstream repository: an *upstream.Access. Its
// errors are an *upstream.Failure, or the context's.
type Upstream interface {
	Run(ctx context.Context, r upstream.Repo, c upstream.Command) error
}

// What runs at once. A fetch by the bottle is two processes, a refresh up to
// six; the sidecar may have 256 and half a GiB.
const (
	maxUploads   = 6
	maxRefreshes = 3
	maxWaiting   = 64 // for each of them
)

const (
	maxHead       = 32 << 10
	headPatience  = 20 * time.Second
	idlePatience  = 2 * time.Minute
	mirrorsDir    = "mirrors"
	leftoverNames = "gone-" // of what is being deleted
)

// Gate serves one bottle.
type Gate struct {
	pushing
	o        Options
	program  string // git
	upstream Upstream
	note     func(format string, args ...any) // at a bounded rate
	server   *http.Server
	conns    *feed
	ctx      context.Context // ends with Close
	end      context.CancelFunc

	uploads, refreshes *slots

	remotes atomic.Pointer[map[string]*served] // by name; replaced, never written to

	mu      sync.Mutex
	closed  bool
	work    sync.WaitGroup           // requests and what runs in the background
	mirrors map[string]*mirror       // by URL
	rooms   map[string]chan struct{} // by directory; see mirror.lock
}

// Open makes a gate without remotes, and removes what a killed one left:
// everything in Dir but the mirrors.
func Open(o Options) (*Gate, error) {
	if o.Dir == "" {
		return nil, errors.New("the git gate needs a directory")
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	if o.Log == nil {
		o.Log = func(Entry) {}
	}
	if o.Upstream == nil {
		o.Upstream = &upstream.Access{RunDir: o.RunDir, Self: o.Self}
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	program, err := child.Find("git")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, mirrorsDir), 0o700); err != nil {
		return nil, err
	}
	g := &Gate{
		pushing: newPushing(o), o: o, program: program, upstream: o.Upstream, note: newNoter(o.Note).add, conns: newFeed(),
		uploads: newSlots(maxUploads), refreshes: newSlots(maxRefreshes),
		mirrors: map[string]*mirror{}, rooms: map[string]chan struct{}{},
	}
	g.ctx, g.end = context.WithCancel(context.Background())
	g.remotes.Store(&map[string]*served{})
	left, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range left {
		if entry.Name() != mirrorsDir {
			g.discard(filepath.Join(o.Dir, entry.Name()))
		}
	}
	g.server = &http.Server{
		Handler:                      http.HandlerFunc(g.serve),
		ReadHeaderTimeout:            headPatience,
		IdleTimeout:                  idlePatience,
		MaxHeaderBytes:               maxHead,
		ErrorLog:                     log.New(io.Discard, "", 0), // it quotes what clients send
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return g.ctx },
	}
	go g.server.Serve(g.conns) //nolint:errcheck // ends with Close
	return g, nil
}

// ServeConn serves one client until its connection is closed.
func (g *Gate) ServeConn(conn net.Conn) { g.conns.serve(conn) }

// Close ends what is under way and waits for its processes.
func (g *Gate) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.end()
	_ = g.conns.Close()
	err := g.server.Close()
	g.work.Wait()
	return err
}

// begin counts something that Close waits for, until work.Done is called; false
// means that the gate is closed.
func (g *Gate) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.work.Add(1)
	return true
}

// background runs what nobody waits for but Close.
func (g *Gate) background(f func()) {
	if g.begin() {
		go func() {
			defer g.work.Done()
			f()
		}()
	}
}

// discard takes a directory or file out of use at once and deletes it in the
// background; where it cannot be moved, at once.
func (g *Gate) discard(path string) {
	away, err := os.MkdirTemp(g.o.Dir, leftoverNames)
	if err == nil {
		err = os.Rename(path, filepath.Join(away, "x"))
	}
	if err != nil {
		if err := os.RemoveAll(path); err != nil {
			g.note("git gate: %s cannot be removed: %v", filepath.Base(path), err)
		}
	}
	if away == "" {
		return
	}
	g.background(func() {
		if err := os.RemoveAll(away); err != nil {
			g.note("git gate: %s cannot be removed: %v", filepath.Base(away), err)
		}
	})
}

// Child is bb as a child process of git: a hook, or what asks for a password.
// It looks at the name bb was called by; handled is false when it is none of
// the gate's.
func Child(argv []string) (code int, handled bool) {
	for _, child := range []func([]string) (int, bool){hookChild, upstream.Child, leaks.Child} {
		if code, handled = child(argv); handled {
			break
		}
	}
	return code, handled
}
