package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// hopTimeout bounds the wait for a hop's answer to CONNECT: it may have to
// resolve and connect first.
const hopTimeout = 30 * time.Second

// hopDialer asks a hop for connections.
type hopDialer struct {
	hop *Hop
	// reach is for the hop itself, whose host is the only one looked up. It is
	// the user's choice and usually has a private address: any will do.
	resolver Resolver
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	tls      *tls.Config
	allow    []netip.Prefix
	line     func(string) string
}

func (p *Proxy) throughHop(policy *Policy, allow []netip.Prefix, line func(string) string,
) func(context.Context, string, string) (net.Conn, error) {
	d := &hopDialer{
		hop: policy.hop, resolver: p.o.Resolver, dial: p.o.Dial, allow: allow, line: line,
		tls: &tls.Config{RootCAs: policy.roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
	}
	return d.DialContext
}

// DialContext returns a connection to the hop itself for viaHop, else one that
// the hop has made a tunnel to the address of.
func (d *hopDialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := checkAddr(host, addr, d.allow); err != nil {
			return nil, err
		}
	}
	conn, err := d.reach(ctx)
	if err != nil || address == viaHop {
		return conn, err
	}
	// An end of ctx ends the exchange, which knows deadlines only.
	_ = conn.SetDeadline(time.Now().Add(hopTimeout))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	tunnel, err := d.connect(conn, address)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return tunnel, nil
}

// reach connects to the hop.
func (d *hopDialer) reach(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(d.hop.Address)
	if err != nil {
		return nil, &hopError{hop: d.hop, why: "is not running"}
	}
	addrs := []netip.Addr{}
	if literal, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, literal)
	} else if addrs, err = d.resolver.LookupNetIP(ctx, "ip", host); err != nil || len(addrs) == 0 {
		return nil, &hopError{hop: d.hop, why: "at " + d.hop.Address + " was not found: the name does not resolve"}
	}
	silent := &hopError{hop: d.hop, why: "at " + d.hop.Address + " did not answer"}
	var conn net.Conn
	for i, addr := range addrs[:min(len(addrs), 8)] {
		attempt, stop := ctx, context.CancelFunc(func() {})
		if i < len(addrs)-1 {
			attempt, stop = context.WithTimeout(ctx, 3*time.Second)
		}
		conn, err = d.dial(attempt, "tcp", net.JoinHostPort(addr.Unmap().String(), port))
		stop()
		if err == nil {
			break
		}
	}
	if conn == nil {
		return nil, silent
	}
	if !d.hop.TLS {
		return conn, nil
	}
	cfg := d.tls.Clone()
	cfg.ServerName = host
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) {
			silent.why = "at " + d.hop.Address + " has a certificate that is not trusted; a company's own root belongs in egress.upstream_ca"
		}
		return nil, silent
	}
	return t, nil
}

// connect asks for a tunnel (RFC 9110, 9.3.6).
func (d *hopDialer) connect(conn net.Conn, address string) (net.Conn, error) {
	head := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if d.hop.Authorization != "" {
		head += "Proxy-Authorization: " + d.hop.Authorization + "\r\n"
	}
	silent := &hopError{hop: d.hop, why: "at " + d.hop.Address + " did not answer"}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return nil, silent
	}
	limited := &io.LimitedReader{R: conn, N: maxHead}
	br := bufio.NewReader(limited)
	res, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, silent
	}
	if res.StatusCode == http.StatusOK {
		if n := br.Buffered(); n > 0 { // what follows the head is the target's
			first, _ := br.Peek(n)
			return &ahead{Conn: conn, first: append([]byte(nil), first...)}, nil
		}
		return conn, nil
	}
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second)) // for the reason
	limited.N = maxHopPage
	page, _ := io.ReadAll(io.LimitReader(res.Body, maxHopPage))
	return nil, &hopError{hop: d.hop, status: res.StatusCode, line: d.line(firstLine(page, res.Header.Get("Content-Type")))}
}

// ahead is a connection of which something was read already.
type ahead struct {
	net.Conn
	first []byte
}

func (a *ahead) Read(p []byte) (int, error) {
	if len(a.first) == 0 {
		return a.Conn.Read(p)
	}
	n := copy(p, a.first)
	a.first = a.first[n:]
	return n, nil
}

func (a *ahead) CloseWrite() error { return closeWrite(a.Conn) }

// hopError is a hop that refused, or is not there.
type hopError struct {
	hop    *Hop
	status int    // of its answer; 0: there was none
	line   string // of its body, fit to be shown
	why    string // without an answer
}

func (e *hopError) Error() string { return e.hop.Name + " " + e.why }

// denial says what the hop said. Its words are for the agent only: a log keeps
// no text of another machine.
func (e *hopError) denial(where string) *denial {
	if e.status == 0 {
		return deny(http.StatusBadGateway, "egress: "+e.hop.Name+" "+e.why)
	}
	answer := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	d := deny(http.StatusBadGateway, "egress: "+e.hop.Name+" answered "+answer+" for "+where)
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired,
		http.StatusUnavailableForLegalReasons:
		d = deny(http.StatusForbidden, "egress: "+e.hop.Name+" refused "+where+": "+answer)
	}
	if e.line != "" {
		d.text += ": " + e.line
	}
	return d
}
