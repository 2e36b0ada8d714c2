package proxy

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Status codes of RFC 6455, 7.4.1.
const (
	closeProtocol = 1002
	closePolicy   = 1008
	closeTooBig   = 1009
	closeLater    = 1013
)

// farewellTime bounds how long an agent has to read why it was cut off.
const farewellTime = time.Second

// searchedSocket is the upstream of a granted WebSocket. What the agent sends is
// searched message by message before it is passed on; what breaks the protocol
// or holds a find ends the connection.
type searchedSocket struct {
	io.ReadWriteCloser // upstream, its answers masked
	x                  *exchange

	mu   sync.Mutex // of in
	in   incoming
	gone bool // the handler has ended

	cut    atomic.Pointer[socketCut]
	said   bool
	out    boundary
	hungUp chan struct{} // the agent has no more to say
	once   sync.Once
}

// socketCut is why a socket was cut.
type socketCut struct {
	code   uint16
	denial *denial
}

func newSearchedSocket(upstream io.ReadWriteCloser, x *exchange) *searchedSocket {
	s := &searchedSocket{ReadWriteCloser: upstream, x: x, hungUp: make(chan struct{})}
	s.in = incoming{x: x, out: upstream, held: holding{b: &x.p.bodies, wait: x.p.limits.room}}
	return s
}

// Write takes what the agent sent. Once cut, it is only read away.
func (s *searchedSocket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut.Load() != nil || s.gone {
		return len(p), nil
	}
	cut, err := s.in.take(p)
	if cut != nil {
		s.cutOff(cut)
		return len(p), nil
	}
	if s.in.partial() {
		s.watch()
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// watch gives a message up that hardly comes, as it holds memory: none passes
// a window without its least bytes.
func (s *searchedSocket) watch() {
	if s.in.timer != nil {
		return
	}
	message, got := s.in.messages, s.in.got
	s.in.timer = time.AfterFunc(s.x.p.limits.window, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.in.timer = nil
		if s.gone || s.cut.Load() != nil || !s.in.partial() {
			return
		}
		if s.in.messages == message && s.in.got-got < int64(s.x.p.limits.least) {
			s.cutOff(&socketCut{closePolicy, deny(403, "egress: cut: a WebSocket message came too slowly to be held until it is whole")})
			return
		}
		s.watch()
	})
}

// cutOff ends the upstream's side at once, and the agent's once it could read
// why. The caller holds mu.
func (s *searchedSocket) cutOff(cut *socketCut) {
	if !s.cut.CompareAndSwap(nil, cut) {
		return
	}
	s.in.drop()
	_ = s.Close() // wakes Read
	if conn := s.x.w.conn; conn != nil {
		time.AfterFunc(2*farewellTime, func() { _ = conn.Close() })
	}
}

// Read passes on what the upstream says, and after a cut one close frame.
func (s *searchedSocket) Read(p []byte) (int, error) {
	var n int
	var err error
	if s.cut.Load() == nil {
		n, err = s.ReadWriteCloser.Read(p)
	}
	cut := s.cut.Load()
	if cut == nil {
		s.out.pass(p[:n])
		return n, err
	}
	if !s.said && s.out.clean() {
		s.said = true
		if frame := closeFrame(cut.code, cut.denial.reason); len(frame) <= len(p) {
			return copy(p, frame), nil
		}
	}
	select {
	case <-s.hungUp:
	case <-time.After(farewellTime):
	}
	return 0, errFound
}

// CloseWrite is the end of what the agent sends. Half a message is no message.
func (s *searchedSocket) CloseWrite() error {
	s.once.Do(func() { close(s.hungUp) })
	if w, ok := s.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return s.Close()
}

// finish lets go of what is held when the handler has ended, and returns what
// belongs in the log: why the socket was cut, and what was covered.
func (s *searchedSocket) finish() (*denial, *finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.in.drop()
	if cut := s.cut.Load(); cut != nil {
		return cut.denial, &s.in.covered
	}
	return nil, &s.in.covered
}
