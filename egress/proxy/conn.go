package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"
)

// connInfo is what a handler knows of the connection that carries a request.
type connInfo struct {
	// host and port are the CONNECT target, or what a ClientHello on port 443
	// named; empty where requests themselves name the place.
	host string
	port int
	// plain is a connection to the transparent port 80.
	plain bool
	// guard is the one that net/http reads through; nil for HTTP/2.
	guard *guard
}

type connKey struct{}

// connContext finds the info of a connection that the listener handed out.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if g, ok := c.(*guard); ok && g.info != nil {
		return context.WithValue(ctx, connKey{}, g.info)
	}
	return ctx
}

// boundConn gives its place back when it is closed.
type boundConn struct {
	net.Conn
	once    sync.Once
	release func()
}

func (b *boundConn) Close() error {
	err := b.Conn.Close()
	b.once.Do(b.release)
	return err
}

func (b *boundConn) CloseWrite() error { return closeWrite(b.Conn) }

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// lingerClose closes so that an answer just written arrives: closing with
// unread input would reset the connection.
func lingerClose(c net.Conn) {
	if closeWrite(c) == nil {
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		_, _ = io.CopyN(io.Discard, c, 64<<10)
	}
	_ = c.Close()
}

// feed is a listener whose connections come from the proxy itself.
type feed struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newFeed() *feed { return &feed{conns: make(chan net.Conn), done: make(chan struct{})} }

func (f *feed) push(c net.Conn) {
	select {
	case f.conns <- c:
	case <-f.done:
		_ = c.Close()
	}
}

func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *feed) Close() error {
	f.once.Do(func() { close(f.done) })
	return nil
}

func (f *feed) Addr() net.Addr { return &net.UnixAddr{Name: "egress", Net: "unix"} }
