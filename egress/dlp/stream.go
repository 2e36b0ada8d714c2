package dlp

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"sync"

	"github.com/bot-bottle/bb/egress"
)

// maxRatio bounds what a stream may decode to: so many times its length, and
// maxOutput more.
const maxRatio = 64

// Stream is egress.Inspector's.
func (s *Scanner) Stream(b egress.Body) (egress.Searcher, error) {
	codings := named(b.Codings)
	if len(codings) > maxCodings {
		return nil, egress.ErrTooDeep
	}
	for _, c := range codings {
		switch c {
		case "gzip", "x-gzip", "deflate", "br", "zstd":
		default:
			return nil, egress.ErrUndecodable
		}
	}
	w := &window{s: s, buf: make([]byte, 0, overlap+firstPiece)}
	if len(codings) == 0 {
		return &plainStream{w}, nil
	}
	return newCoded(w, codings), nil
}

// window searches what slides past, together with the end of what came before.
type window struct {
	s   *Scanner
	buf []byte
}

// push searches p and returns the hits that reach into it, without bounds.
func (w *window) push(p []byte) (hits []egress.Hit, err error) {
	for len(p) > 0 {
		old := len(w.buf)
		n := min(len(p), cap(w.buf)-old)
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		q := w.s.start(false, len(w.buf))
		q.layer(w.buf, place{})
		for _, h := range q.hits {
			if h.End > old {
				hits = append(hits, egress.Hit{Detector: h.Detector, Known: h.Known})
			}
		}
		err = q.err
		w.s.stop(q)
		if err != nil {
			return hits, err
		}
		keep := w.buf[max(0, len(w.buf)-overlap):]
		w.buf = w.buf[:copy(w.buf[:cap(w.buf)], keep)]
	}
	return hits, nil
}

type plainStream struct{ w *window }

func (p *plainStream) Push(b []byte) ([]egress.Hit, error) { return p.w.push(b) }
func (p *plainStream) End() ([]egress.Hit, error)          { return nil, nil }
func (p *plainStream) Close()                              {}

// coded decodes a stream in a goroutine of its own. Push hands it bytes and
// waits until it asks for more, so that all that the bytes decode to is
// searched when Push returns, but for what the decoder holds back itself.
type coded struct {
	in   chan []byte   // Push to decoder
	want chan struct{} // the decoder asks for more
	done chan struct{} // it has ended
	stop chan struct{} // Close
	once sync.Once
	idle bool // it waits for in

	// What follows belongs to the decoder until it asks or ends.
	hits []egress.Hit
	err  error
	rest []byte
	eof  bool
	got  int64
	out  int64
}

func newCoded(w *window, codings []string) *coded {
	c := &coded{
		in: make(chan []byte), want: make(chan struct{}), done: make(chan struct{}), stop: make(chan struct{}),
	}
	go c.run(w, codings)
	return c
}

func (c *coded) run(w *window, codings []string) {
	defer close(c.done)
	c.err = c.search(w, codings)
}

func (c *coded) search(w *window, codings []string) error {
	var r io.Reader = c
	for i := len(codings) - 1; i >= 0; i-- {
		d, err := streamDecoder(codings[i], r)
		if err != nil {
			return undecodable(err)
		}
		if z, ok := d.(closeAtEnd); ok {
			defer z.Close()
		}
		r = d
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if c.out += int64(n); c.out > maxOutput+maxRatio*c.got {
			return egress.ErrTooDeep
		}
		hits, failed := w.push(buf[:n])
		c.hits = append(c.hits, hits...)
		switch {
		case failed != nil:
			return failed
		case errors.Is(err, io.EOF):
			return c.atEnd()
		case err != nil:
			return undecodable(err)
		}
	}
}

// atEnd fails when the input goes on after the coded data.
func (c *coded) atEnd() error {
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return egress.ErrUndecodable
	}
	return nil
}

func undecodable(err error) error {
	if errors.Is(err, egress.ErrTooDeep) {
		return err
	}
	return egress.ErrUndecodable
}

// Read gives the decoder what was pushed.
func (c *coded) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.eof {
			return 0, io.EOF
		}
		select {
		case c.want <- struct{}{}:
		case <-c.stop:
			return 0, io.ErrClosedPipe
		}
		select {
		case b, ok := <-c.in:
			if !ok {
				c.eof = true
				return 0, io.EOF
			}
			c.rest = b
			c.got += int64(len(b))
		case <-c.stop:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// asked waits until the decoder asks for more; false when it has ended.
func (c *coded) asked() bool {
	if !c.idle {
		select {
		case <-c.want:
			c.idle = true
		case <-c.done:
		}
	}
	return c.idle
}

func (c *coded) Push(p []byte) ([]egress.Hit, error) {
	if len(p) == 0 {
		return nil, nil
	}
	if c.asked() {
		c.in <- p
		c.idle = false
		c.asked()
	} else if c.err == nil {
		return nil, egress.ErrUndecodable // more after the end
	}
	return c.take()
}

func (c *coded) End() ([]egress.Hit, error) {
	if c.asked() {
		close(c.in)
		<-c.done
		c.idle = false
		if c.got == 0 && errors.Is(c.err, egress.ErrUndecodable) {
			c.err = nil // nothing was sent at all
		}
	}
	return c.take()
}

func (c *coded) take() ([]egress.Hit, error) {
	hits := c.hits
	c.hits = nil
	if c.idle {
		return hits, nil
	}
	return hits, c.err
}

func (c *coded) Close() {
	c.once.Do(func() { close(c.stop) })
	<-c.done
}

// streamDecoder is decoder for input that has not come yet.
func streamDecoder(coding string, in io.Reader) (io.Reader, error) {
	switch coding {
	case "br":
		return newBrotli(in), nil
	case "zstd":
		d, err := newZstd(in)
		if err != nil {
			return nil, err
		}
		return closeAtEnd{d.IOReadCloser()}, nil
	case "deflate":
		return &inflating{in: bufio.NewReader(in)}, nil
	}
	return gzip.NewReader(in)
}

// inflating is deflate with or without zlib's head, which the first bytes tell.
type inflating struct {
	in *bufio.Reader
	r  io.Reader
}

func (d *inflating) Read(p []byte) (n int, err error) {
	if d.r == nil {
		head, err := d.in.Peek(2)
		switch {
		case err == nil && isZlib(head[0], head[1]):
			if d.r, err = zlib.NewReader(d.in); err != nil {
				return 0, err
			}
		case len(head) == 0:
			return 0, err
		default:
			d.r = flate.NewReader(d.in)
		}
	}
	n, err = d.r.Read(p)
	if errors.Is(err, io.EOF) && d.in.Buffered() > 0 {
		err = egress.ErrUndecodable
	}
	return n, err
}
