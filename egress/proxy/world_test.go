package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// outside is the address that names of the tests resolve to; 192.0.2.0/24 is
// nobody's, and the world's Dial sends it to the test's servers.
const outside = "192.0.2.10"

const (
	secret = "sk-test-0123456789abcdef"
	canary = "canary-fedcba9876543210"
	// lookalike has the form that the tests' inspector takes for a credential.
	lookalike = "fake_0123456789abcdef"
)

// world is a proxy, a resolver and upstreams in one process.
type world struct {
	t     *testing.T
	proxy *Proxy
	addr  string // of the explicit proxy
	roots *x509.CertPool

	mu      sync.Mutex
	names   map[string][]string // to addresses
	asked   []string
	dialled []string
	servers map[string]string // port to listener
	entries []Entry
}

func newWorld(t *testing.T, routes ...egress.Route) *world {
	t.Helper()
	return newWorldWith(t, Options{}, routes...)
}

// newWorldWith takes further options.
func newWorldWith(t *testing.T, o Options, routes ...egress.Route) *world {
	t.Helper()
	ca, err := LoadOrCreateCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, roots: x509.NewCertPool(), names: map[string][]string{}, servers: map[string]string{}}
	w.roots.AppendCertsFromPEM(ca.CertPEM())
	o.CA, o.Resolver, o.Dial, o.Log = ca, w, w.dial, w.log
	w.proxy, err = New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go w.proxy.ServeProxy(c)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		_ = w.proxy.Close()
	})
	if routes != nil {
		w.policy(routes...)
	}
	return w
}

func (w *world) log(e Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries = append(w.entries, e)
}

// logged waits for n lines: each follows its answer.
func (w *world) logged(n int) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		got := len(w.entries)
		w.mu.Unlock()
		if got >= n {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("%d lines of %d were logged", got, n)
		}
	}
}

func (w *world) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, host)
	list, ok := w.names[host]
	if !ok {
		list = []string{outside}
	}
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dialled = append(w.dialled, address)
	_, port, _ := net.SplitHostPort(address)
	real, ok := w.servers[port]
	w.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("nothing listens at %s", address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, real)
}

// upstreamSeen counts what reached an upstream.
type upstreamSeen struct {
	mu   sync.Mutex
	reqs []*http.Request
	url  []string
}

func (s *upstreamSeen) paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.url...)
}

func (s *upstreamSeen) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reqs) == 0 {
		return nil
	}
	return s.reqs[len(s.reqs)-1]
}

// serve starts an upstream at a port of the outside. With TLS its certificate
// is for a.example and its like, and the policy trusts it.
func (w *world) serve(port string, useTLS bool, h http.HandlerFunc) *upstreamSeen {
	seen := &upstreamSeen{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen.mu.Lock()
		seen.reqs = append(seen.reqs, r)
		seen.url = append(seen.url, r.Host+r.RequestURI)
		seen.mu.Unlock()
		h(rw, r)
	}))
	s.Config.ErrorLog = quiet
	if useTLS {
		ca := upstreamCA()
		s.EnableHTTP2 = true
		s.TLS = &tls.Config{GetCertificate: func(hi *tls.ClientHelloInfo) (*tls.Certificate, error) {
			name := hi.ServerName
			if name == "" {
				name = outside
			}
			return ca.leaf(name)
		}}
		s.StartTLS()
	} else {
		s.Start()
	}
	w.t.Cleanup(s.Close)
	w.mu.Lock()
	w.servers[port] = s.Listener.Addr().String()
	w.mu.Unlock()
	return seen
}

var upstreamCA = sync.OnceValue(func() *CA {
	key, err := LoadOrCreateCA(mustTempDir())
	if err != nil {
		panic(err)
	}
	return key
})

func (w *world) policy(routes ...egress.Route) {
	w.t.Helper()
	w.swap(w.document(routes...))
}

func (w *world) document(routes ...egress.Route) egress.Document {
	return egress.Document{
		Version: egress.DocumentVersion, Routes: routes, UpstreamCA: string(upstreamCA().CertPEM()),
		Tokens: map[string]egress.Token{"EGRESS_TOKEN_0": {Value: secret, Digest: "d0"}}, Canary: canary,
	}
}

func (w *world) swap(doc egress.Document) {
	w.t.Helper()
	p, err := NewPolicy(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy.SetPolicy(p)
}

// client is an agent's HTTP client that uses the proxy.
func (w *world) client(h2 bool) *http.Client {
	t := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: w.addr}),
		TLSClientConfig:   &tls.Config{RootCAs: w.roots},
		ForceAttemptHTTP2: h2,
	}
	w.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{
		Transport: t, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// raw writes bytes to the proxy and returns the first answer with its body.
func (w *world) raw(input string) (*http.Response, string) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, input); err != nil {
		w.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

// tunnel opens a CONNECT and, where it is granted, does TLS in it.
func (w *world) tunnel(target, sni string, alpn ...string) (*tls.Conn, error) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("CONNECT: %s", res.Status)
	}
	t := tls.Client(c, &tls.Config{RootCAs: w.roots, ServerName: sni, NextProtos: alpn})
	return t, t.Handshake()
}

// over sends raw bytes into a tunnel and reads one answer.
func over(t *testing.T, c *tls.Conn, br *bufio.Reader, input string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, input); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

func errorOf(t *testing.T, body string) string {
	t.Helper()
	var v struct{ Error string }
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("not the JSON of a denial: %q", body)
	}
	return v.Error
}

func do(t *testing.T, c *http.Client, method, url string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(data)
}

func route(host string, port int) egress.Route {
	return egress.Route{Host: host, Port: port, Source: "bottle dev.md:7"}
}

func authed(host string, port int) egress.Route {
	r := route(host, port)
	r.Auth = &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}
	return r
}

func asRoute(v any) egress.Route { return v.(egress.Route) }

func sortedJoin(s []string) string {
	slices.Sort(s)
	return strings.Join(s, " ")
}
