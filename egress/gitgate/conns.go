package gitgate

import (
	"net"
	"sync"
)

// feed hands single connections to an http.Server.
type feed struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newFeed() *feed { return &feed{conns: make(chan net.Conn), done: make(chan struct{})} }

// serve returns when the server has closed the connection.
func (f *feed) serve(c net.Conn) {
	t := &tracked{Conn: c, closed: make(chan struct{})}
	select {
	case f.conns <- t:
		<-t.closed
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

func (f *feed) Addr() net.Addr { return &net.UnixAddr{Name: "git", Net: "unix"} }

// tracked tells when it was closed.
type tracked struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// CloseWrite lets the server say something to a client that still sends.
func (t *tracked) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return net.ErrClosed
}

func (t *tracked) Close() error {
	err := t.Conn.Close()
	t.once.Do(func() { close(t.closed) })
	return err
}
