package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// The transparent ports are for programs that ignore proxy variables. Policy
// DNS sends an allowed name to them; where the client wants to go is what it
// says first, and the address that it dialled means nothing.
const (
	httpsPort = 443
	// methodTLS stands in the log for a connection to the transparent port 443.
	methodTLS = "TLS"
)

// ServePlain serves a client that came to port 80 with requests in origin form,
// each to the host that its Host names. It owns conn, and returns when conn is
// handed on to the server that closes it.
func (p *Proxy) ServePlain(conn net.Conn) {
	bound, ok := p.admit(conn)
	if !ok {
		return
	}
	g := newGuard(bound, onPort80)
	g.info = &connInfo{guard: g, plain: true}
	p.feed.push(g)
}

// ServeTLS serves a client that came to port 443. The server name of its
// ClientHello is the host, as the target of a CONNECT is; what follows is the
// same. It owns conn, and returns when conn is closed or handed on to the
// server that closes it.
func (p *Proxy) ServeTLS(conn net.Conn) {
	bound, ok := p.admit(conn)
	if !ok {
		return
	}
	e := Entry{Time: p.o.Now(), Port: httpsPort, Method: methodTLS}
	_ = bound.SetDeadline(time.Now().Add(p.o.HeaderTimeout))
	h, first, err := readHello(bound)
	if err != nil {
		p.refuseFirst(bound, first, err, e)
		return
	}
	host, err := h.host()
	if err != nil {
		p.refuseHello(bound, deny(http.StatusForbidden, "egress: "+err.Error()), unrecognizedName, e)
		return
	}
	e.Host = host
	t := &tunnel{p: p, host: host, port: httpsPort, entry: e}
	if d := t.judge(); d != nil {
		p.refuseHello(bound, d, unrecognizedName, t.entry)
		return
	}
	if t.route.Tunnel {
		t.serve(bound, h, first)
		return
	}
	p.intercept(opened(bound, first), t)
}

// refuseFirst ends a connection to port 443 that does not begin with a whole
// ClientHello. A client that speaks HTTP is told so in its own words.
func (p *Proxy) refuseFirst(c net.Conn, first []byte, err error, e Entry) {
	if len(first) == 0 { // came and went
		_ = c.Close()
		return
	}
	d := deny(http.StatusForbidden, "egress: what came to port 443 is no whole ClientHello")
	var notTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &notTLS) && looksLikeHTTP(first):
		d = deny(http.StatusBadRequest, "egress: this is port 443: plain HTTP came where TLS must; use https")
		_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = c.Write(rawAnswer(d))
	case errors.As(err, &notTLS):
		d = deny(http.StatusForbidden, "egress: what came to port 443 is not TLS")
	}
	lingerClose(c)
	e.denied(d, 0, p.o.Now())
	p.o.Log(e)
}

// refuseHello answers a ClientHello with an alert. There is no certificate for
// a name that no route has, and so no way to say more.
func (p *Proxy) refuseHello(c net.Conn, d *denial, alert []byte, e Entry) {
	_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.Write(alert)
	lingerClose(c)
	e.denied(d, 0, p.o.Now())
	p.o.Log(e)
}

// Covers reports whether policy DNS knows a canonical host: a route of the
// policy in force names it.
func (p *Proxy) Covers(host string) bool {
	l := p.live.Load()
	return l != nil && egress.Names(l.routes, host, p.o.Now())
}
