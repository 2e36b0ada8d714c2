package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// recorder counts an answer and takes the credential out of its head, also of
// the 1xx heads before it.
type recorder struct {
	http.ResponseWriter
	guard  *guard
	redact *redactor
	status int
	n      int64
	conn   net.Conn // given away
}

func (w *recorder) WriteHeader(status int) {
	w.redact.header(w.Header())
	if status >= 200 && w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController flush.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack gives the connection away after a granted upgrade.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.guard == nil {
		return nil, nil, http.ErrNotSupported
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.guard.release()
	w.conn = conn
	w.Header().Del("Connection")
	return conn, rw, nil
}

// countedBody counts what the agent sent. The transport may read it after the
// handler has ended.
type countedBody struct {
	io.ReadCloser
	n atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
