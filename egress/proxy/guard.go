package proxy

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// methodRefused marks the head that the guard hands on in place of one that it
// refused, so that the 400 comes in its turn, after the answers before it.
const methodRefused = "BB-REFUSED"

var (
	crlf        = []byte("\r\n")
	refusedHead = []byte(methodRefused + " / HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n")
)

type guardState int

const (
	atHead  guardState = iota // the next byte begins a request head
	atBody                    // left bytes of a body of known length follow
	atChunk                   // chunked framing follows
	held                      // an upgrade was asked for and is not yet answered
	open                      // upgraded: the bytes are no longer HTTP
	broken                    // nothing passes any more
)

// guard stands between a socket and net/http's server and lets through only
// requests whose framing is beyond doubt. net/http accepts some that are not
// (attack C1): every byte that it reads has passed here first, on every request
// of a connection. It reads whole heads and tracks the bounds of bodies.
type guard struct {
	net.Conn
	way  way
	info *connInfo

	mu    sync.Mutex // one Read at a time, and release
	state guardState
	in    []byte // read from the socket, not judged yet
	seen  int    // bytes of in that the search for the head's end has passed
	out   []byte // judged, not handed on yet
	left  int64
	chunk chunkState
	err   error
	// first keeps the head that the caller of peek looked at.
	first *head

	refused atomic.Pointer[error]
	badBody atomic.Bool
	onHead  func(head) // for tests
}

func newGuard(c net.Conn, w way) *guard { return &guard{Conn: c, way: w} }

// opened is a guard that has read something already and judges nothing.
func opened(c net.Conn, read []byte) *guard { return &guard{Conn: c, state: open, in: read} }

// reason says why the guard refused a head, or nil.
func (g *guard) reason() error {
	if p := g.refused.Load(); p != nil {
		return *p
	}
	return nil
}

// misframed reports that a body, not a head, was broken. It does not wait for
// a Read under way.
func (g *guard) misframed() bool { return g.badBody.Load() }

// peek judges the first head without handing it on.
func (g *guard) peek() (*head, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.first == nil && g.state != broken {
		if len(g.in) > 0 {
			if err := g.judge(); err != nil {
				return nil, err
			}
			if g.first != nil || g.state == broken {
				break
			}
		}
		if err := g.fill(); err != nil {
			return nil, err
		}
	}
	return g.first, g.reason()
}

// release ends the guard's work after an upgrade: what follows is not HTTP.
// The caller must be the only reader.
func (g *guard) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == held {
		g.state = open
	}
}

// takeOver ends the guard's work after a CONNECT that the caller answers
// itself: the head is not handed on.
func (g *guard) takeOver() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out, g.state = nil, open
}

// Read hands on judged bytes only.
func (g *guard) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if len(g.out) > 0 {
			n := copy(p, g.out)
			if g.out = g.out[n:]; len(g.out) == 0 {
				g.out = nil
			}
			return n, nil
		}
		if n, ok := g.pass(p); ok {
			return n, nil
		}
		if g.state == broken {
			return 0, g.err
		}
		if len(g.in) > 0 && (g.state == atHead || g.state == atChunk) {
			if err := g.judge(); err != nil {
				return 0, err
			}
			if len(g.out) > 0 || g.state == broken || g.state == atBody {
				continue
			}
		}
		if n, direct, err := g.readThrough(p); direct {
			return n, err
		}
		if g.state == held && len(g.in) >= 4096 {
			return 0, g.fail(errEarly)
		}
		if err := g.fill(); err != nil {
			return 0, err
		}
	}
}

// pass hands on bytes that need no judgement and are here already.
func (g *guard) pass(p []byte) (int, bool) {
	if len(g.in) == 0 {
		return 0, false
	}
	n := 0
	switch g.state {
	case atBody:
		n = copy(p[:min(int64(len(p)), g.left)], g.in)
		g.consume(n)
		g.bodyRead(n)
	case open:
		n = copy(p, g.in)
		g.consume(n)
	}
	return n, n > 0
}

// readThrough reads from the socket without a copy where no byte needs to be
// judged.
func (g *guard) readThrough(p []byte) (int, bool, error) {
	switch {
	case g.state == open && len(g.in) == 0:
		n, err := g.Conn.Read(p)
		return n, true, err
	case g.state == atBody && len(g.in) == 0:
		n, err := g.Conn.Read(p[:min(int64(len(p)), g.left)])
		g.bodyRead(n)
		return n, true, err
	case g.state == atChunk && len(g.in) == 0 && g.chunk.inData():
		n, err := g.Conn.Read(p[:min(int64(len(p)), g.chunk.left)])
		g.chunk.skip(int64(n))
		return n, true, err
	}
	return 0, false, nil
}

func (g *guard) bodyRead(n int) {
	if g.left -= int64(n); g.left == 0 {
		g.state = atHead
	}
}

// judge looks at in and moves what is in order to out. It returns an error
// only when the connection is to be given up without an answer.
func (g *guard) judge() error {
	if g.state == atChunk {
		n, done, err := g.chunk.scan(g.in)
		g.out = bytes.Clone(g.in[:n])
		g.consume(n)
		g.badBody.Store(err != nil)
		switch {
		case err != nil && n == 0:
			return g.fail(err)
		case err != nil:
			g.state, g.err = broken, err // after what was in order
		case done:
			g.state = atHead
		}
		return nil
	}
	end, err := headEnd(g.in, g.seen)
	if err != nil {
		g.refuse(err)
		return nil
	}
	if end == 0 {
		if len(g.in) >= maxHead {
			g.refuse(errLongHead)
		}
		g.seen = len(g.in)
		return nil
	}
	if end > maxHead {
		g.refuse(errLongHead)
		return nil
	}
	h, err := parseHead(g.in[:end], g.way)
	if err == nil && h.method == "CONNECT" && g.first != nil {
		err = errLateConnect
	}
	if err != nil {
		g.refuse(err)
		return nil
	}
	g.admit(h, end)
	return nil
}

func (g *guard) admit(h head, end int) {
	if g.first == nil {
		g.first = &h
	}
	if g.onHead != nil {
		g.onHead(h)
	}
	g.out = bytes.Clone(g.in[:end])
	g.consume(end)
	g.seen = 0
	switch {
	case h.upgrade, h.method == "CONNECT":
		g.state = held
	case h.chunked:
		g.state, g.chunk = atChunk, chunkState{}
	case h.length > 0:
		g.state, g.left = atBody, h.length
	}
}

// refuse replaces the head by one that makes the handler answer 400, and ends
// the connection behind it.
func (g *guard) refuse(err error) {
	g.refused.Store(&err)
	g.state, g.err, g.in = broken, io.EOF, nil
	g.out = refusedHead
}

func (g *guard) fail(err error) error {
	g.state, g.err, g.in = broken, err, nil
	return err
}

// fill reads more from the socket. A deadline is not an end: net/http sets one
// to get its own pending read back.
func (g *guard) fill() error {
	var buf [4096]byte
	n, err := g.Conn.Read(buf[:])
	g.in = append(g.in, buf[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

func (g *guard) consume(n int) {
	if g.in = g.in[n:]; len(g.in) == 0 {
		g.in = nil // an idle connection holds no buffer
	}
}

// CloseWrite lets net/http end an answer before it closes, so that the client
// can read it.
func (g *guard) CloseWrite() error { return closeWrite(g.Conn) }

// headEnd returns the length of the head, 0 when it is not all there, or an
// error as soon as a line ends in anything but CRLF.
func headEnd(in []byte, from int) (int, error) {
	for i := from; i < len(in); i++ {
		switch c := in[i]; {
		case c == '\n' && (i == 0 || in[i-1] != '\r'):
			return 0, errBareLF
		case c != '\n' && i > 0 && in[i-1] == '\r':
			return 0, errBareCR
		case c == '\n' && i >= 3 && in[i-2] == '\n':
			return i + 1, nil
		case c == '\n' && i == 1:
			return 0, errEmptyLine
		case c < 0x20 && c != '\t' && c != '\r' && c != '\n' || c == 0x7f:
			return 0, errControl
		}
	}
	return 0, nil
}
