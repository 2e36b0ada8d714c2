package proxy

import (
	"errors"
	"io"
	"sync"
)

var errGone = errors.New("the body was let go of")

// sentBody is a searched body on its way out. Its memory is given back when all
// of it was handed to the transport, or the request has ended: an answer may
// take long, and others wait for the room.
type sentBody struct {
	mu   sync.Mutex
	b    *budget
	n    int64 // of the budget
	data []byte
	// again keeps what was read to its end until the answer begins, so that the
	// transport can send it once more where an upstream has hung up on an idle
	// connection.
	again, answered, gone bool
	last                  *sentReader // of the attempt under way
}

// sentReader is one attempt. The transport may read on after the handler has
// ended, and in an attempt that it has given up.
type sentReader struct {
	of *sentBody
	at int
}

// reader begins an attempt, and ends the one before.
func (s *sentBody) reader() (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, errGone
	}
	s.last = &sentReader{of: s}
	return s.last, nil
}

func (r *sentReader) Read(p []byte) (int, error) {
	s := r.of
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.at < 0:
		return 0, io.EOF
	case s.gone || s.last != r:
		return 0, errGone
	}
	n := copy(p, s.data[r.at:])
	if r.at += n; r.at == len(s.data) {
		r.at = -1
		if !s.again || s.answered {
			s.letGo()
		}
	}
	return n, nil
}

func (r *sentReader) Close() error { return nil }

// begun says that the answer has: nothing is sent again.
func (s *sentBody) begun() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered = true; s.last.at < 0 {
		s.letGo()
	}
}

// end is that of the request.
func (s *sentBody) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letGo()
}

// letGo is called with mu held.
func (s *sentBody) letGo() {
	if !s.gone {
		s.gone, s.data = true, nil
		s.b.give(s.n)
	}
}
