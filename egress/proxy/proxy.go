// Package proxy is the intercepting forward proxy of a bottle: the only way
// out, deciding about every request by the policy in force at that moment.
package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Options of a Proxy. Only CA is required.
type Options struct {
	CA *CA
	// Resolver and Dial reach the outside. Dial gets addresses, never names.
	Resolver Resolver
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	// Inspector makes what searches the agent's requests for values, those of
	// the tokens and the canary, and for texts that look like credentials. nil
	// searches for nothing, which is for tests only.
	Inspector func(values []string) egress.Inspector
	// Log receives one entry per decision, from many goroutines.
	Log func(Entry)
	Now func() time.Time
	// Ask holds a request where its rule says so; nil asks nobody.
	Ask Ask
	// MaxConns and MaxRequests bound what is served at once.
	MaxConns, MaxRequests int
	// HeaderTimeout bounds the first head and the TLS handshake, IdleTimeout
	// the wait for the next request.
	HeaderTimeout, IdleTimeout time.Duration
	// TunnelTimeout ends a tunnel that is not looked into once nothing went
	// through it for so long.
	TunnelTimeout time.Duration
	// BodyBudget bounds the bytes of request bodies held at once.
	BodyBudget int64
}

// Proxy serves connections that it is handed. It passes nothing until it has
// a policy.
type Proxy struct {
	o        Options
	live     atomic.Pointer[live]
	server   *http.Server
	feed     *feed
	conns    chan struct{}
	requests chan struct{}
	buffers  bufferPool
	flights  flights
	swap     sync.Mutex
	bodies   budget
	heavy    chan struct{} // turns to search what may take much memory
	oracle   oracle
	limits   limits
	held     chan struct{} // requests that wait for a person
	valueKey []byte
}

// New starts a proxy without a policy.
func New(o Options) (*Proxy, error) {
	if o.CA == nil {
		return nil, errors.New("a proxy needs a CA")
	}
	o.setDefaults()
	key, err := o.CA.valueKey()
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		o:        o,
		held:     make(chan struct{}, egress.MaxHeld),
		valueKey: key,
		feed:     newFeed(),
		conns:    make(chan struct{}, o.MaxConns),
		requests: make(chan struct{}, o.MaxRequests),
		bodies:   budget{size: o.BodyBudget},
		limits:   usualLimits,
		heavy:    make(chan struct{}, 2),
	}
	log := o.Log
	p.o.Log = func(e Entry) {
		if e.Verdict == VerdictDenied {
			p.clean(&e)
		}
		log(e)
	}
	p.server = &http.Server{
		Handler:                      p,
		ReadHeaderTimeout:            o.HeaderTimeout,
		IdleTimeout:                  o.IdleTimeout,
		MaxHeaderBytes:               maxHead,
		ErrorLog:                     quiet,
		ConnContext:                  connContext,
		DisableGeneralOptionsHandler: true,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          250,
			MaxReceiveBufferPerStream:     256 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
		},
	}
	go p.server.Serve(p.feed) //nolint:errcheck // ends with Close
	return p, nil
}

func (o *Options) setDefaults() {
	if o.Resolver == nil {
		o.Resolver = systemResolver{}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	if o.Log == nil {
		o.Log = func(Entry) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 2048
	}
	if o.MaxRequests <= 0 {
		o.MaxRequests = 4096
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = 20 * time.Second
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 3 * time.Minute
	}
	if o.TunnelTimeout <= 0 {
		o.TunnelTimeout = time.Hour
	}
	if o.BodyBudget <= 0 {
		o.BodyBudget = 128 << 20
	}
}

// SetPolicy swaps the policy; nil passes nothing. Requests under way that the
// new policy would not allow, WebSockets among them, are cut. Connections to
// upstreams are not shared between policies.
func (p *Proxy) SetPolicy(policy *Policy) {
	p.swap.Lock()
	defer p.swap.Unlock()
	old := p.live.Swap(p.bind(policy))
	p.judgeAll()
	old.retire()
}

// Policy returns the one in force, or nil.
func (p *Proxy) Policy() *Policy {
	if l := p.live.Load(); l != nil {
		return l.policy
	}
	return nil
}

// Close ends every connection.
func (p *Proxy) Close() error {
	err := p.server.Close()
	_ = p.feed.Close()
	old := p.live.Swap(nil)
	p.judgeAll()
	old.retire()
	return err
}

// ServeProxy serves a client of the explicit proxy: CONNECT, or requests in
// absolute form. It owns conn, and returns when conn is closed or handed on to
// the server that closes it.
func (p *Proxy) ServeProxy(conn net.Conn) {
	bound, ok := p.admit(conn)
	if !ok {
		return
	}
	g := newGuard(bound, asProxy)
	_ = bound.SetReadDeadline(time.Now().Add(p.o.HeaderTimeout))
	h, err := g.peek()
	_ = bound.SetReadDeadline(time.Time{})
	switch {
	case h != nil && h.method == http.MethodConnect:
		p.connect(g, h)
	case err != nil && g.reason() == nil:
		_ = bound.Close()
	default:
		g.info = &connInfo{guard: g}
		p.feed.push(g)
	}
}

func (p *Proxy) admit(conn net.Conn) (*boundConn, bool) {
	select {
	case p.conns <- struct{}{}:
		return &boundConn{Conn: conn, release: func() { <-p.conns }}, true
	default:
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(rawAnswer(tooMany))
		_ = conn.Close()
		return nil, false
	}
}
