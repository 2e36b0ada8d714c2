package sidecar

import (
	"net"
	"sync"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/dlp"
	"github.com/bot-bottle/bb/egress/pipelock"
	"github.com/bot-bottle/bb/egress/proxy"
)

// wired is egress/proxy as the sidecar wants it.
type wired struct {
	*proxy.Proxy
	ca  *proxy.CA
	hop *lastHop
}

// openProxy loads or makes the bottle's authority and starts a proxy that has
// no policy yet. Requests are bounded by the same measure as connections: each
// may take a descriptor of its own.
func openProxy(opts Options, log func(entry any)) (Proxy, error) {
	ca, err := proxy.LoadOrCreateCA(opts.CADir)
	if err != nil {
		return nil, err
	}
	p, err := proxy.New(proxy.Options{
		CA:          ca,
		Inspector:   func(values []string) egress.Inspector { return dlp.New(values) },
		Ask:         opts.ask,
		Log:         func(e proxy.Entry) { log(e) },
		MaxConns:    opts.MaxConns,
		MaxRequests: 2 * opts.MaxConns,
	})
	if err != nil {
		return nil, err
	}
	return wired{p, ca, &lastHop{options: pipelock.Options{
		Binary: opts.Pipelock, Dir: opts.PipelockDir, Note: opts.note,
	}}}, nil
}

func (w wired) ServeConn(conn *net.UnixConn)  { untilClosed(conn, w.ServeProxy) }
func (w wired) ServeTLS(conn *net.UnixConn)   { untilClosed(conn, w.Proxy.ServeTLS) }
func (w wired) ServePlain(conn *net.UnixConn) { untilClosed(conn, w.Proxy.ServePlain) }

// untilClosed blocks until the connection is closed: the proxy hands most of
// them on and returns, while the door counts a connection as long as it lives.
func untilClosed(conn *net.UnixConn, serve func(net.Conn)) {
	c := &closing{UnixConn: conn, closed: make(chan struct{})}
	serve(c)
	<-c.closed
}

func (w wired) Prepare(doc egress.Document) (commit, drop func(), err error) {
	policy, err := proxy.NewPolicy(doc) // the vault has resolved what is kept
	if err != nil {
		return nil, nil, err
	}
	last, err := w.hop.ready(doc)
	if err != nil {
		return nil, nil, err
	}
	if last != nil {
		policy = policy.Through(last.Hop())
	}
	commit = func() {
		w.SetPolicy(policy)
		w.hop.settle(last)
	}
	return commit, func() { w.hop.drop(last) }, nil
}

// Close ends what passes, and then what it passes through.
func (w wired) Close() error {
	err := w.Proxy.Close()
	w.hop.settle(nil)
	return err
}

func (w wired) CertPEM() []byte { return w.ca.CertPEM() }

// closing tells when it is closed.
type closing struct {
	*net.UnixConn
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	err := c.UnixConn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}
