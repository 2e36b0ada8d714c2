package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate"
	"github.com/bot-bottle/bb/egress/supervise"
)

const deadline = 10 * time.Second

// fakeProxy says what it was given and echoes connections.
type fakeProxy struct {
	mu    sync.Mutex
	docs  []egress.Document
	fail  func(egress.Document) error
	serve func(*net.UnixConn)
	// pending counts what was prepared, and neither committed nor dropped.
	pending int
}

// fakeGate says what it was given and echoes connections.
type fakeGate struct {
	mu   sync.Mutex
	docs []egress.Document
	fail func(egress.Document) error
	opts gitgate.Options
}

func (g *fakeGate) Swap(doc egress.Document) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		if err := g.fail(doc); err != nil {
			return err
		}
	}
	g.docs = append(g.docs, doc)
	return nil
}

func (g *fakeGate) ServeConn(conn net.Conn) { _, _ = io.Copy(conn, conn) }

func (g *fakeGate) Close() error { return nil }

func (f *fakeProxy) ServeConn(conn *net.UnixConn) {
	if f.serve != nil {
		f.serve(conn)
		return
	}
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
}

func (f *fakeProxy) ServeTLS(conn *net.UnixConn) {
	_, _ = io.WriteString(conn, "tls:")
	f.ServeConn(conn)
}

func (f *fakeProxy) ServePlain(conn *net.UnixConn) {
	_, _ = io.WriteString(conn, "plain:")
	f.ServeConn(conn)
}

func (f *fakeProxy) Covers(host string) bool {
	return egress.Names(f.last().Routes, host, time.Now())
}

func (f *fakeProxy) Prepare(doc egress.Document) (commit, drop func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		if err := f.fail(doc); err != nil {
			return nil, nil, err
		}
	}
	f.pending++
	commit = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.pending--
		f.docs = append(f.docs, doc)
	}
	return commit, func() { f.pending-- }, nil
}

func (f *fakeProxy) Close() error { return nil }

func (f *fakeProxy) CertPEM() []byte { return []byte("the certificate\n") }

// last is the document in force, or the zero one.
func (f *fakeProxy) last() egress.Document {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.docs) == 0 {
		return egress.Document{}
	}
	return f.docs[len(f.docs)-1]
}

func newState(proxy Proxy, opts Options) *state {
	if opts.Stdout == nil {
		opts.Stdout = io.Discard
	}
	return &state{opts: opts, proxy: proxy, gate: &fakeGate{}, vault: &vault{}, queue: supervise.New()}
}

const secretValue = `tok-"9f3c&<7a>-secret-value`

// document is a good one; change edits a copy of it.
func document(change func(*egress.Document)) []byte {
	doc := egress.Document{
		Version:  1,
		Instance: "bb-dev-0a1b2c",
		Live:     map[string]string{"egress": "v1:aa"},
		Routes: []egress.Route{{
			Host: "api.example.org", Port: 443, Source: "bottle dev.md:4",
			Auth: &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"},
		}},
		Tokens: map[string]egress.Token{"EGRESS_TOKEN_0": {Value: secretValue, Digest: "d0"}},
	}
	if change != nil {
		change(&doc)
	}
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return data
}

// syncBuffer is a buffer that a running sidecar may write to.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type running struct {
	opts           Options
	proxy          *fakeProxy
	gate           *fakeGate
	log            func(any)
	stdout, stderr *syncBuffer
}

// sockets returns options in a fresh directory with a short path.
func sockets(t *testing.T) Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "side") //nolint:usetesting // a socket path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return Options{
		DoorSocket:    filepath.Join(dir, "door", "d.sock"),
		ControlSocket: filepath.Join(dir, "run", "c.sock"),
		CADir:         filepath.Join(dir, "ca"),
		Build:         "test",
	}
}

// start runs a sidecar with a fake proxy until the test ends.
func start(t *testing.T, change func(*Options)) *running {
	t.Helper()
	r := &running{opts: sockets(t), proxy: &fakeProxy{}, gate: &fakeGate{}, stdout: &syncBuffer{}, stderr: &syncBuffer{}}
	r.opts.Stdout, r.opts.Stderr = r.stdout, r.stderr
	r.opts.newProxy = func(_ Options, log func(any)) (Proxy, error) {
		r.log = log
		return r.proxy, nil
	}
	r.opts.newGate = func(o gitgate.Options) (Gate, error) {
		r.gate.opts = o
		return r.gate, nil
	}
	if change != nil {
		change(&r.opts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, r.opts) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(deadline):
			t.Error("the sidecar does not stop")
		}
	})
	for end := time.Now().Add(deadline); !strings.Contains(r.stdout.String(), "unconfigured"); {
		select {
		case err := <-done:
			done <- nil
			t.Fatalf("the sidecar ended: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal("no state line")
		}
	}
	return r
}

// ctl runs one control command.
func (r *running) ctl(t *testing.T, command string, stdin []byte) (egress.Reply, error) {
	t.Helper()
	var out bytes.Buffer
	err := Ctl(t.Context(), Control{Socket: r.opts.ControlSocket}, command, bytes.NewReader(stdin), &out)
	var reply egress.Reply
	if e := json.Unmarshal(out.Bytes(), &reply); e != nil {
		t.Fatalf("reply %q: %v", out.String(), errors.Join(e, err))
	}
	return reply, err
}

func dialUnix(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UnixConn)
}
