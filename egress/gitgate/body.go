package gitgate

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// bodyLimit bounds what a client sends: bytes after decoding, and time.
type bodyLimit struct {
	bytes int64
	time  time.Duration
}

var (
	// uploadBody is room for the names of 600,000 objects.
	uploadBody = bodyLimit{32 << 20, 5 * time.Minute}
	// pushBody is above every limit of a push, which says so in its own words.
	pushBody = bodyLimit{8 << 30, 30 * time.Minute}
)

const (
	// readPatience is how long a client may send nothing of what it promised,
	// writePatience how long it may take nothing.
	readPatience  = 30 * time.Second
	writePatience = time.Minute
	uploadLimit   = time.Hour
)

// body is a request's body, decoded and bounded.
type body struct {
	raw     io.ReadCloser
	plain   io.Reader // nil until gzip's head is read
	gzipped bool
	conn    *http.ResponseController
	left    int64
	end     time.Time
	err     error // what ended it, but for io.EOF
	failed  atomic.Bool
}

func openBody(w http.ResponseWriter, r *http.Request, l bodyLimit) (*body, error) {
	b := &body{raw: r.Body, conn: http.NewResponseController(w), left: l.bytes, end: time.Now().Add(l.time)}
	codings := strings.ToLower(strings.Join(r.Header.Values("Content-Encoding"), ","))
	switch codings {
	case "", "identity":
		b.plain = timed{b}
	case "gzip", "x-gzip":
		b.gzipped = true
	default:
		return nil, errors.New("the body has a coding that git does not use")
	}
	return b, nil
}

// timed reads what the client sends while it does send.
type timed struct{ *body }

func (t timed) Read(p []byte) (int, error) {
	until := time.Now().Add(readPatience)
	if until.After(t.end) {
		until = t.end
	}
	_ = t.conn.SetReadDeadline(until)
	n, err := t.raw.Read(p)
	if err != nil {
		// The server reads on, to see the client go: without a limit of time.
		_ = t.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
		b.failed.Store(true)
	}
	return n, err
}

func (b *body) read(p []byte) (int, error) {
	if b.plain == nil {
		z, err := gzip.NewReader(timed{b})
		if err != nil {
			return 0, fmt.Errorf("the body is no gzip: %w", err)
		}
		b.plain = z
	}
	n, err := b.plain.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, told("the request is too large")
	}
	return n, err
}

func (b *body) Close() error { return b.raw.Close() }

// writer sends each piece at once, and gives up on a client that takes nothing.
type writer struct {
	http.ResponseWriter
	conn  *http.ResponseController
	first string // before the first piece
	began bool
}

func newWriter(w http.ResponseWriter) *writer {
	return &writer{ResponseWriter: w, conn: http.NewResponseController(w)}
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) Write(p []byte) (int, error) {
	_ = w.conn.SetWriteDeadline(time.Now().Add(writePatience))
	if !w.began {
		w.began = true
		if _, err := io.WriteString(w.ResponseWriter, w.first); err != nil {
			return 0, err
		}
	}
	n, err := w.ResponseWriter.Write(p)
	if err == nil {
		err = w.conn.Flush()
	}
	return n, err
}

// end leaves the connection as the next request on it expects it.
func (w *writer) end() { _ = w.conn.SetWriteDeadline(time.Time{}) }
