package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// engineProxy stands between bb and the engine and numbers what bb asks for:
// every request that changes something is a step at which a test can kill bb,
// refuse the request or cut the line. It is the hook that enumerates the steps
// of an apply, and production code knows nothing of it.
type engineProxy struct {
	t      testing.TB
	host   string // for DOCKER_HOST
	engine string // path of the engine's own socket
	victim atomic.Int64
	wire   tap // nil: nobody listens along

	mu    sync.Mutex
	calls []*call
	steps int
	fault fault
	met   bool // the fault's step came
}

// call is one request of bb. It holds no query: values may be secret.
type call struct {
	Number, Step int // from 1; a request that changes nothing has step 0
	Method, Path string
}

func (c call) String() string { return fmt.Sprintf("#%d %s %s", c.Step, c.Method, c.Path) }

// fault is what happens at one step.
type fault struct {
	step  int
	after bool // once the engine has begun to answer; else it never sees the request
	do    deed
}

type deed string

const (
	kill   deed = "kill"   // SIGKILL for bb
	refuse deed = "refuse" // an error 500 in the engine's form
	cut    deed = "cut"    // both directions end
	hang   deed = "hang"   // for a second
)

func (f fault) String() string {
	when := "before"
	if f.after {
		when = "after"
	}
	return fmt.Sprintf("%s %s step %d", f.do, when, f.step)
}

// tap hears both directions of one connection. Its writers are called from
// the connection's own goroutines.
type tap interface {
	sent(connection int, c call, r *http.Request, body []byte)
	raw(connection int, fromEngine bool, p []byte)
}

// newEngineProxy listens on a socket of its own, for one engine.
func newEngineProxy(t testing.TB, engineHost string) *engineProxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "bb-proxy-") //nolint:usetesting // paths of sockets may only be short
	if err != nil {
		t.Fatal(err)
	}
	p := &engineProxy{t: t, host: "unix://" + filepath.Join(dir, "s"), engine: strings.TrimPrefix(engineHost, "unix://")}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var open sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		l.Close() //nolint:errcheck // it only listens
		open.Wait()
		os.RemoveAll(dir) //nolint:errcheck // a directory of the system's temporary ones
	})
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { p.serve(ctx, n, c.(*net.UnixConn)) })
		}
	}()
	return p
}

// engineSocket is where the engine of these tests listens.
func engineSocket(t testing.TB) string {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	if !strings.HasPrefix(host, "unix://") {
		t.Fatalf("the faults of these tests are put on a unix socket, not on %s", host)
	}
	return host
}

// arm forgets what was, and lets f happen from now on.
func (p *engineProxy) arm(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.steps, p.fault, p.met = nil, 0, f, false
	p.victim.Store(0)
}

// journal is what was asked since arm, and whether its fault came to pass.
func (p *engineProxy) journal() (calls []call, met bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		calls = append(calls, *c)
	}
	return calls, p.met
}

// changing are the calls of a journal that are steps.
func changing(calls []call) (steps []call) {
	for _, c := range calls {
		if c.Step > 0 {
			steps = append(steps, c)
		}
	}
	return steps
}

func (p *engineProxy) note(r *http.Request) (c call, f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c = call{Number: len(p.calls) + 1, Method: r.Method, Path: r.URL.Path}
	if name := r.URL.Query().Get("name"); name != "" {
		c.Path += " " + name
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		p.steps++
		c.Step = p.steps
	}
	p.calls = append(p.calls, &c)
	if c.Step == 0 || c.Step != p.fault.step {
		return c, fault{}
	}
	p.met = true
	return c, p.fault
}

// strike ends bb as a power cut ends it: it gets no chance to tidy up.
func (p *engineProxy) strike() {
	for end := time.Now().Add(5 * time.Second); p.victim.Load() == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // bb was quicker than the test that started it
	}
	if err := syscall.Kill(int(p.victim.Load()), syscall.SIGKILL); err != nil {
		p.t.Errorf("kill bb: %v", err)
	}
}

// link is one connection of bb and its counterpart to the engine.
type link struct {
	p           *engineProxy
	number      int
	bb, engine  *net.UnixConn
	onAnswer    atomic.Pointer[func()] // called once, when the engine's next byte comes
	answersDone chan struct{}
}

func (p *engineProxy) serve(ctx context.Context, number int, bb *net.UnixConn) {
	defer bb.Close()
	c, err := net.Dial("unix", p.engine)
	if err != nil {
		return // the engine is gone: bb's connection ends as it would there
	}
	l := &link{p: p, number: number, bb: bb, engine: c.(*net.UnixConn), answersDone: make(chan struct{})}
	defer l.close()
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	go l.answers()
	if l.requests() {
		<-l.answersDone // bb said all; the engine may still have something to say
	}
}

func (l *link) close() {
	for _, c := range []net.Conn{l.bb, l.engine} {
		c.Close()
	}
}

// answers carries what the engine says, as it comes.
func (l *link) answers() {
	defer close(l.answersDone)
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.engine.Read(buffer)
		if n > 0 {
			if f := l.onAnswer.Swap(nil); f != nil {
				(*f)()
			}
			if l.p.wire != nil {
				l.p.wire.raw(l.number, true, buffer[:n])
			}
			if _, err := l.bb.Write(buffer[:n]); err != nil {
				l.close() // nobody reads any more
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				l.bb.CloseWrite() //nolint:errcheck // bb is gone too
			}
			return
		}
	}
}

// requests carries what bb says, request by request. It returns true where
// only bb's half has ended.
func (l *link) requests() (halfOpen bool) {
	in := bufio.NewReader(l.bb)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return false // bb closed an idle connection, or died
		}
		c, f := l.p.note(r)
		if f.do != "" && !l.strikes(r, f) {
			return false
		}
		if err := l.forward(r, c); err != nil {
			return false
		}
		if r.Header.Get("Upgrade") != "" {
			return l.upgraded(in)
		}
	}
}

// strikes lets a fault happen, and reports whether the request goes on.
func (l *link) strikes(r *http.Request, f fault) bool {
	if f.do == hang {
		time.Sleep(time.Second)
		return true
	}
	if f.after {
		then := func() { l.close() }
		if f.do == kill {
			then = func() { l.p.strike(); l.close() }
		}
		l.onAnswer.Store(&then)
		return true
	}
	switch f.do {
	case kill:
		l.p.strike()
	case refuse:
		io.Copy(io.Discard, r.Body) //nolint:errcheck // refused anyhow
		const body = `{"message":"the engine has a fault of this test"}`
		fmt.Fprintf(l.bb, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	return false
}

func (l *link) forward(r *http.Request, c call) error {
	if l.p.wire != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		if r.Body = http.NoBody; len(body) > 0 {
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		l.p.wire.sent(l.number, c, r, body)
	}
	return r.Write(l.engine)
}

// upgraded carries the rest of a connection that has become a plain stream.
func (l *link) upgraded(in *bufio.Reader) bool {
	buffer := make([]byte, 32<<10)
	for {
		n, err := in.Read(buffer)
		if n > 0 {
			if l.p.wire != nil {
				l.p.wire.raw(l.number, false, buffer[:n])
			}
			if _, err := l.engine.Write(buffer[:n]); err != nil {
				return true // a program may end before it has read all
			}
		}
		if err != nil {
			l.engine.CloseWrite() //nolint:errcheck // the program has ended already
			return errors.Is(err, io.EOF)
		}
	}
}

// runThrough runs bb with its engine behind p, and with whatever p is armed
// with. A bb that was killed has exit code -1.
func (p *engineProxy) runThrough(h *home, args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := h.command(ctx, args...)
	cmd.Env = append(cmd.Env, "DOCKER_HOST="+p.host)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	p.victim.Store(int64(cmd.Process.Pid))
	cmd.Wait() //nolint:errcheck // the exit code is in the result
	if ctx.Err() != nil {
		h.t.Fatalf("bb %v does not end\n%s%s", args, &stdout, &stderr)
	}
	return result{args: args, code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}
