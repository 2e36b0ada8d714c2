package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
)

const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// connect answers a CONNECT and looks into the tunnel, or does not where the
// route says so. The target is judged here only as far as a tunnel to it can be
// of any use; each request in it is decided about on its own.
func (p *Proxy) connect(g *guard, h *head) {
	host, port, err := egress.SplitAuthority(h.target, 0)
	if err != nil { // the guard has checked it
		_ = g.Close()
		return
	}
	t := &tunnel{p: p, host: host, port: port, entry: Entry{Time: p.o.Now(), Host: host, Port: port, Method: h.method}}
	if d := t.judge(); d != nil {
		p.refuseConnect(g, d, t.entry)
		return
	}
	if t.route.Tunnel {
		t.serveConnect(g)
		return
	}
	g.takeOver()
	_ = g.SetDeadline(time.Now().Add(p.o.HeaderTimeout))
	if _, err := g.Write([]byte(established)); err != nil {
		_ = g.Close()
		return
	}
	p.intercept(g, t)
}

// intercept speaks TLS for the host that a client asked for, and hands what is
// inside to the server. Its caller has set a deadline.
func (p *Proxy) intercept(g *guard, of *tunnel) {
	sni := of.host // until a ClientHello says otherwise
	t := tls.Server(g, p.tunnelTLS(of.host, &sni))
	if err := t.HandshakeContext(context.Background()); err != nil {
		p.refuseTLS(g, of.host, sni, err, of.entry)
		return
	}
	_ = g.SetDeadline(time.Time{})
	info := &connInfo{host: of.host, port: of.port}
	if t.ConnectionState().NegotiatedProtocol == "h2" {
		g.info = info
		p.feed.push(t)
		return
	}
	inner := newGuard(t, inTunnel)
	info.guard, inner.info = inner, info
	p.feed.push(inner)
}

func (p *Proxy) refuseConnect(g *guard, d *denial, e Entry) {
	_ = g.SetWriteDeadline(time.Now().Add(5 * time.Second))
	n, _ := g.Write(rawAnswer(d))
	g.takeOver() // only to read the rest away
	lingerClose(g)
	e.denied(d, int64(n), p.o.Now())
	p.o.Log(e)
}

// refuseTLS ends a tunnel whose client did not do TLS with the host that it
// asked for (attacks B2, B5).
func (p *Proxy) refuseTLS(g *guard, host, sni string, err error, e Entry) {
	d := deny(http.StatusForbidden, "egress: the TLS handshake with the client failed")
	var notTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &notTLS):
		d = deny(http.StatusForbidden, "egress: what follows CONNECT must be TLS")
		_ = g.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = g.Write(rawAnswer(d))
	case sni != host:
		d = deny(http.StatusForbidden, "egress: the TLS server name differs from the CONNECT target")
	}
	lingerClose(g)
	e.denied(d, 0, p.o.Now())
	p.o.Log(e)
}

// tunnelTLS speaks for host only. Without a certificate crypto/tls answers
// unrecognized_name, which is what a client that asked for another name gets.
// Tickets are off: a session of one tunnel is of no use in another.
func (p *Proxy) tunnelTLS(host string, sni *string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			*sni = strings.ToLower(hello.ServerName)
			if *sni == "" && net.ParseIP(host) != nil {
				*sni = host // an address is not sent as a name (RFC 6066, 3)
			}
			cfg := &tls.Config{
				MinVersion:             tls.VersionTLS12,
				NextProtos:             []string{"h2", "http/1.1"},
				SessionTicketsDisabled: true,
			}
			if *sni != host {
				return cfg, nil
			}
			leaf, err := p.o.CA.leaf(host)
			if err != nil {
				return nil, err
			}
			cfg.Certificates = []tls.Certificate{*leaf}
			return cfg, nil
		},
	}
}
