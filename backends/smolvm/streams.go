package smolvm

import (
	"bytes"
	"io"
	"sync/atomic"

	"github.com/bot-bottle/bb/egress/door/session"
)

// preamble drops what smolvm says before the session does: its notes. The first
// frame is of one of two kinds and empty.
type preamble struct {
	to   io.Writer
	seen []byte
	over bool
}

var firstFrames = [][]byte{{'S', 0, 0, 0, 0}, {'B', 0, 0, 0, 0}}

const maxPreamble = 64 << 10

func (p *preamble) Write(b []byte) (int, error) {
	if p.over {
		return p.to.Write(b)
	}
	p.seen = append(p.seen, b...)
	for _, f := range firstFrames {
		if at := bytes.Index(p.seen, f); at >= 0 {
			p.over = true
			_, err := p.to.Write(p.seen[at:])
			p.seen = nil
			return len(b), err
		}
	}
	if len(p.seen) > maxPreamble {
		return 0, session.ErrNotStarted
	}
	return len(b), nil
}

// valve passes what is written until it is shut or breaks. It never fails the
// writer, so that smolvm can say all it has.
type valve struct {
	to    io.Writer
	shut  atomic.Bool
	cause atomic.Pointer[error]
	once  atomic.Pointer[chan struct{}]
}

func (v *valve) channel() chan struct{} {
	c := make(chan struct{})
	if v.once.CompareAndSwap(nil, &c) {
		return c
	}
	return *v.once.Load()
}

func (v *valve) broken() <-chan struct{} { return v.channel() }

func (v *valve) err() error {
	if e := v.cause.Load(); e != nil {
		return *e
	}
	return nil
}

func (v *valve) Write(p []byte) (int, error) {
	if v.shut.Load() || v.err() != nil {
		return len(p), nil
	}
	if _, err := v.to.Write(p); err != nil && v.cause.CompareAndSwap(nil, &err) {
		close(v.channel())
	}
	return len(p), nil
}
