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

// connect answers a CONNECT and looks into the tunnel. The target is judged
// here only as far as a tunnel to it can be of any use; each request in it is
// decided about on its own.
func (p *Proxy) connect(g *guard, h *head) {
	start := p.o.Now()
	host, port, err := egress.SplitAuthority(h.target, 0)
	if err != nil { // the guard has checked it
		_ = g.Close()
		return
	}
	e := Entry{Time: start, Host: host, Port: port, Method: h.method}
	if d := p.judgeConnect(host, port, &e); d != nil {
		p.refuseConnect(g, d, e)
		return
	}
	g.takeOver()
	_ = g.SetDeadline(time.Now().Add(p.o.HeaderTimeout))
	if _, err := g.Write([]byte(established)); err != nil {
		_ = g.Close()
		return
	}
	sni := host // until a ClientHello says otherwise
	t := tls.Server(g, p.tunnelTLS(host, &sni))
	if err := t.HandshakeContext(context.Background()); err != nil {
		p.refuseTLS(g, host, sni, err, e)
		return
	}
	_ = g.SetDeadline(time.Time{})
	info := &connInfo{host: host, port: port}
	if t.ConnectionState().NegotiatedProtocol == "h2" {
		g.info = info
		p.feed.push(t)
		return
	}
	inner := newGuard(t, true)
	info.guard, inner.info = inner, info
	p.feed.push(inner)
}

func (p *Proxy) judgeConnect(host string, port int, e *Entry) *denial {
	l := p.live.Load()
	if l == nil {
		return notConfigured()
	}
	if host == egress.LocalHost {
		return deny(http.StatusForbidden, "egress: "+egress.LocalHost+" is answered over plain http only")
	}
	x := egress.Decide(l.routes, egress.Target{
		Method: http.MethodConnect, Scheme: "https", Host: host, Port: port, Connect: true,
	}, p.o.Now())
	e.Rule = x.Rule
	if !x.Allowed {
		return explained(x)
	}
	return nil
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
	d := deny(http.StatusForbidden, "egress: the TLS handshake inside CONNECT failed")
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
