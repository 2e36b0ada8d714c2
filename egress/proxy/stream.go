package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/bot-bottle/bb/egress"
)

var errFound = errors.New("the search of what was sent found something")

// heldBack is how much of a stream waits until what follows it was searched: a
// value that is found with its last byte has then not left but for it. Framed
// messages are not held: their answers are awaited one by one.
const heldBack = 4 << 10

// decoderLag is how much a decoder keeps to itself, which is not searched yet: a
// whole window of deflate (RFC 1951, 2).
const decoderLag = 32 << 10

// streamRoom is what one stream is read with, besides what it holds.
const streamRoom = 32 << 10

// codingRoom is what a decoder remembers at most: its window, and what it reads
// and writes with (RFC 1951, 2; RFC 7932, 9.1; RFC 9659).
var codingRoom = map[string]int{"gzip": 128 << 10, "x-gzip": 128 << 10, "deflate": 128 << 10, "br": 18 << 20, "zstd": 10 << 20}

// streamBody has the body searched as it passes.
func (x *exchange) streamBody() *denial {
	h := x.r.Header
	b := egress.Body{MediaType: h.Get("Content-Type"), Codings: codingsOf(h)}
	keep, room := heldBack, 0
	switch {
	case len(b.Codings) > 0: // also of framed messages: the decoder waits anyhow
		keep += decoderLag
	case framesOf(b.MediaType) != nil:
		keep = 0
	}
	for _, c := range b.Codings {
		room += codingRoom[c]
	}
	if err := x.held.take(x.r.Context(), room+keep+streamRoom); err != nil {
		return x.noRoom()
	}
	s, err := x.live.inspector.Stream(b)
	if err != nil {
		return x.unsearchable("the body", b.Codings, err)
	}
	body := &searchedBody{src: x.r.Body, s: s, keep: keep, counted: x.counted}
	body.deny = func(hits []egress.Hit, err error) *denial {
		if err != nil {
			return x.unsearchable("the body", b.Codings, err)
		}
		f := &finding{}
		if f.add("the body", hits, false); len(f.hits) == 0 {
			return x.paused()
		}
		return x.judge(f)
	}
	// An answer may begin before the body ends: the server would otherwise read
	// the rest of the body away, and what goes out would end short of it.
	_ = http.NewResponseController(x.w.ResponseWriter).EnableFullDuplex()
	x.stream, x.r.Body = body, body
	return nil
}

// searchedBody passes on what was searched. A find breaks it: it ends with an
// error, so that the upstream sees no whole request.
type searchedBody struct {
	src  io.ReadCloser
	deny func([]egress.Hit, error) *denial // nil: it may pass
	// counted are those of the hits that count.
	counted func([]egress.Hit) []egress.Hit
	// cut ends the request also where its answer has begun.
	cut  context.CancelCauseFunc
	keep int

	buf      []byte // read, searched
	from     int    // of buf, passed on
	err      error
	found    atomic.Pointer[denial]
	mu       sync.Mutex // of s, which the handler closes while a Read may wait
	s        egress.Searcher
	finished bool
}

func (b *searchedBody) Read(p []byte) (int, error) {
	for {
		keep := b.keep
		if errors.Is(b.err, io.EOF) {
			keep = 0
		}
		if n := len(b.buf) - keep - b.from; n > 0 && (b.err == nil || keep == 0) {
			n = copy(p, b.buf[b.from:b.from+n])
			b.from += n
			return n, nil
		}
		if b.err != nil {
			return 0, b.err
		}
		if b.buf == nil {
			b.buf = make([]byte, 0, b.keep+streamRoom)
		}
		b.buf, b.from = b.buf[:copy(b.buf, b.buf[b.from:])], 0
		n, err := b.src.Read(b.buf[len(b.buf):cap(b.buf)])
		fresh := b.buf[len(b.buf) : len(b.buf)+n]
		b.buf, b.err = b.buf[:len(b.buf)+n], err
		if d := b.search(fresh, errors.Is(err, io.EOF)); d != nil {
			b.found.Store(d)
			b.err, b.buf, b.from = errFound, nil, 0
			b.cut(errFound)
		}
	}
}

// search returns why nothing more may pass, or nil.
func (b *searchedBody) search(p []byte, last bool) *denial {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finished {
		return b.deny(nil, errInspector)
	}
	hits, err := b.s.Push(p)
	if hits = b.counted(hits); err == nil && len(hits) == 0 && last {
		hits, err = b.s.End()
		hits = b.counted(hits)
	}
	return b.deny(hits, err)
}

// finish lets go of the search when the request has ended, and returns why it
// was broken, or nil.
func (b *searchedBody) finish() *denial {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.finished {
		b.finished = true
		b.s.Close()
	}
	return b.found.Load()
}

func (b *searchedBody) Close() error { return b.src.Close() }
