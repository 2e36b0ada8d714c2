package sidecar

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/proxy"
)

// BenchmarkProxy compares, in one run and in turns, three that end TLS on both
// sides behind a CONNECT through a unix socket: the standard library's reverse
// proxy without rules ("bare"), this one with one rule ("lean"), and the one of
// a sidecar with a hundred rules, a credential and its detectors ("full").
func BenchmarkProxy(b *testing.B) {
	up := newBenchUpstream(b)
	sides := []*side{up.bare(b), up.lean(b), up.full(b)}
	prompt := promptJSON(200 << 10)
	megabyte := promptJSON(1 << 20)
	for _, c := range []struct {
		name     string
		parallel int
		h2, once bool // once: a tunnel for every request
		path     string
		body     []byte
	}{
		{"get-h1", 16, false, false, "/512", nil},
		{"get-h2", 16, true, false, "/512", nil},
		{"get-h1-alone", 1, false, false, "/512", nil},
		{"tunnels", 8, false, true, "/512", nil},
		{"post-200k", 4, false, false, "/512", prompt},
		{"post-1M", 4, false, false, "/512", megabyte},
		{"get-1M", 4, false, false, "/1048576", nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			clients := make([]*http.Client, len(sides))
			for i, s := range sides {
				clients[i] = s.client(b, up, c.h2, c.once)
			}
			b.ResetTimer()
			for range b.N {
				took := make([][]time.Duration, len(sides))
				spent := make([]time.Duration, len(sides))
				for round := range 4 { // the first warms up
					for i := range sides {
						begin := time.Now()
						times := load(b, clients[i], up.url+c.path, c.body, c.parallel, 300*time.Millisecond)
						if round > 0 {
							took[i], spent[i] = append(took[i], times...), spent[i]+time.Since(begin)
						}
					}
				}
				var rate []float64
				for i, s := range sides {
					slices.Sort(took[i])
					rate = append(rate, float64(len(took[i]))/spent[i].Seconds())
					b.ReportMetric(rate[i], s.name+"-rps")
					b.ReportMetric(micro(took[i], 50), s.name+"-p50-us")
					b.ReportMetric(micro(took[i], 99), s.name+"-p99-us")
				}
				b.ReportMetric(rate[1]/rate[0], "lean-ratio")
				b.ReportMetric(rate[2]/rate[0], "full-ratio")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

func micro(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[(len(sorted)-1)*percent/100].Nanoseconds()) / 1000
}

// load sends requests for a while and returns how long each took.
func load(b *testing.B, c *http.Client, address string, body []byte, parallel int, limit time.Duration) []time.Duration {
	b.Helper()
	var mu sync.Mutex
	var all []time.Duration
	var senders sync.WaitGroup
	end := time.Now().Add(limit)
	for range parallel {
		senders.Go(func() {
			var own []time.Duration
			for time.Now().Before(end) {
				begin := time.Now()
				if err := send(c, address, body); err != nil {
					b.Error(err)
					return
				}
				own = append(own, time.Since(begin))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	senders.Wait()
	return all
}

func send(c *http.Client, address string, body []byte) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", res.Status, err)
	}
	return nil
}

// promptJSON is a turn of an agent of about n bytes.
func promptJSON(n int) []byte {
	type message struct{ Role, Content string }
	words := strings.Fields("the function returns an error where the key of a map is not there so that callers see it before they use func main err nil")
	var text strings.Builder
	for i := 0; text.Len() < n; i++ {
		fmt.Fprintf(&text, "%s %d ", words[i*i%len(words)], i%97)
		if i%12 == 0 {
			text.WriteString("\n\t")
		}
	}
	out, err := json.Marshal(map[string]any{"model": "m", "messages": []message{{"user", text.String()}}})
	if err != nil {
		panic(err) // only strings are in it
	}
	return out
}

// benchUpstream answers /N with N bytes, at an address of this host that is
// not loopback: that is one which a route may list.
type benchUpstream struct {
	host, port, url string
	server          *httptest.Server
	roots           *x509.CertPool
}

func newBenchUpstream(t testing.TB) *benchUpstream {
	t.Helper()
	u := &benchUpstream{host: ownAddress(t), roots: x509.NewCertPool()}
	u.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
			stream(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // its size is the point
		_, _ = w.Write(make([]byte, n))
	}))
	l, err := net.Listen("tcp", net.JoinHostPort(u.host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	cert := selfSigned(t, u.host)
	_, u.port, _ = net.SplitHostPort(l.Addr().String()) // it has a port
	u.server.Listener, u.server.EnableHTTP2 = l, true
	u.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	u.server.StartTLS()
	t.Cleanup(func() {
		u.server.CloseClientConnections() // a connection of HTTP/2 is never idle to it
		u.server.Close()
	})
	u.roots.AddCert(cert.Leaf)
	u.url = "https://" + net.JoinHostPort(u.host, u.port)
	return u
}

func (u *benchUpstream) document(rules int) egress.Document {
	var port int
	_, _ = fmt.Sscan(u.port, &port) // a listener's own
	doc := egress.Document{
		Version: 1, Instance: "bb-bench-0a1b2c", UpstreamCA: string(pemOf(u.server.Certificate())),
		Tokens: map[string]egress.Token{"EGRESS_TOKEN_0": {Value: secretValue, Digest: "d0"}},
		Canary: "canary-0123456789abcdef",
		Routes: []egress.Route{{
			Host: u.host, Port: port, Source: "bottle dev.md:4", SSRFIPAllowlist: []string{u.host + "/32"},
			Auth: &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"},
		}},
	}
	for n := 1; n < rules; n++ {
		doc.Routes = append(doc.Routes, egress.Route{
			Host: fmt.Sprintf("h%d.example.org", n), Port: 443, Source: fmt.Sprintf("bottle dev.md:%d", n+4),
			Matches: []egress.Match{{Methods: []string{"GET", "POST"}, Paths: []string{"/v1", "/v2/messages"}}},
		})
	}
	if rules > 1 { // the route that is used looks at methods and paths too
		doc.Routes[0].Matches = []egress.Match{{Methods: []string{"GET", "POST"}, Paths: []string{"/"}}}
	}
	return doc
}

// side is one proxy behind a unix socket.
type side struct {
	name, socket string
	roots        *x509.CertPool
}

func (s *side) client(b *testing.B, u *benchUpstream, h2, once bool) *http.Client {
	roots := s.roots
	if roots == nil {
		roots = u.roots
	}
	t := &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "egress:9099"}),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: h2, DisableKeepAlives: once,
	}
	b.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: 30 * time.Second}
}

// lean is the proxy with one rule and nothing that searches.
func (u *benchUpstream) lean(b *testing.B) *side {
	ca, err := proxy.LoadOrCreateCA(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	p, err := proxy.New(proxy.Options{CA: ca})
	if err != nil {
		b.Fatal(err)
	}
	policy, err := proxy.NewPolicy(u.document(1))
	if err != nil {
		b.Fatal(err)
	}
	p.SetPolicy(policy)
	b.Cleanup(func() { _ = p.Close() })
	return u.side(b, "lean", ca.CertPEM(), func(c *net.UnixConn) { p.ServeProxy(c) })
}

// full is the proxy as a sidecar wires it.
func (u *benchUpstream) full(b *testing.B) *side {
	log := func(entry any) { _ = json.NewEncoder(io.Discard).Encode(entry) } // what a line costs, without its file
	p, err := openProxy(Options{CADir: b.TempDir(), MaxConns: defaultMaxConns}, log)
	if err != nil {
		b.Fatal(err)
	}
	commit, _, err := p.Prepare(u.document(100))
	if err != nil {
		b.Fatal(err)
	}
	commit()
	b.Cleanup(func() { _ = p.Close() })
	return u.side(b, "full", p.CertPEM(), p.ServeConn)
}

// bare is what the standard library does by itself.
func (u *benchUpstream) bare(b *testing.B) *side {
	cert := selfSigned(b, u.host)
	target := &url.URL{Scheme: "https", Host: net.JoinHostPort(u.host, u.port)}
	inner := make(listener)
	out := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: u.roots}, MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: true}
	b.Cleanup(out.CloseIdleConnections)
	server := &http.Server{Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1, Transport: out,
	}}
	go server.Serve(inner) //nolint:errcheck // ends with Close
	b.Cleanup(func() { _ = server.Close() })
	return u.side(b, "bare", pemOf(cert.Leaf), func(c *net.UnixConn) {
		head := make([]byte, 0, 512)
		for buf := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, buf...) {
			if _, err := io.ReadFull(c, buf); err != nil {
				_ = c.Close()
				return
			}
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
		if t.Handshake() != nil {
			_ = c.Close()
			return
		}
		inner <- t
	})
}

func (u *benchUpstream) side(t testing.TB, name string, roots []byte, serve func(*net.UnixConn)) *side {
	t.Helper()
	s := &side{name: name, socket: filepath.Join(shortDir(t), "s"), roots: x509.NewCertPool()}
	s.roots.AppendCertsFromPEM(roots)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return s
}

// listener hands a server connections that something else accepted.
type listener chan net.Conn

func (l listener) Accept() (net.Conn, error) {
	if c := <-l; c != nil {
		return c, nil
	}
	return nil, net.ErrClosed
}

// Close makes Accept return, which a server waits for.
func (l listener) Close() error {
	go func() { l <- nil }()
	return nil
}

func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: "bench"} }
