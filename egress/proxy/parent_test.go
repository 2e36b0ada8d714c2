package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"sync"

	"github.com/bot-bottle/bb/egress"
)

const (
	hopName  = "proxy.corp.example"
	hopToken = "user:correct-horse-battery"
)

var hopBasic = "Basic " + base64.StdEncoding.EncodeToString([]byte(hopToken))

// parent is a small forward proxy, as companies have them, at port 3128 of the
// outside. It connects by port, whatever the name.
type parent struct {
	w *world
	// answer, where set, is given instead of a tunnel or a page.
	answer func(http.ResponseWriter, *http.Request)
	// ca, where set, makes it intercept.
	ca *CA

	mu   sync.Mutex
	saw  []string
	auth []string
}

func (w *world) parentProxy(useTLS bool) *parent {
	p := &parent{w: w}
	s := httptest.NewUnstartedServer(p)
	s.Config.ErrorLog = quiet
	if useTLS {
		s.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return upstreamCA().leaf(h.ServerName) }}
		s.StartTLS()
	} else {
		s.Start()
	}
	w.t.Cleanup(s.Close)
	w.mu.Lock()
	w.servers["3128"] = s.Listener.Addr().String()
	w.mu.Unlock()
	return p
}

func (p *parent) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.saw = append(p.saw, r.Method+" "+r.RequestURI)
	p.auth = append(p.auth, r.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	if p.answer != nil {
		p.answer(rw, r)
		return
	}
	port := "80"
	if r.Method == http.MethodConnect {
		_, port, _ = net.SplitHostPort(r.Host)
	}
	p.w.mu.Lock()
	addr := p.w.servers[port]
	p.w.mu.Unlock()
	if r.Method != http.MethodConnect {
		r.Header.Del("Proxy-Authorization")
		(&httputil.ReverseProxy{
			Rewrite: func(*httputil.ProxyRequest) {}, FlushInterval: -1,
			Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("tcp", addr) }}, //nolint:staticcheck // short
		}).ServeHTTP(rw, r)
		return
	}
	up, err := net.Dial("tcp", addr)
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	c, _, err := http.NewResponseController(rw).Hijack() // the client waits for the answer
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
	if p.ca != nil {
		p.intercept(c, up)
		return
	}
	go func() {
		_, _ = io.Copy(up, c)
		_ = closeWrite(up)
	}()
	_, _ = io.Copy(c, up)
	_ = c.Close()
	_ = up.Close()
}

// intercept speaks for every name, as a scanning hop does.
func (p *parent) intercept(c, up net.Conn) {
	in := tls.Server(c, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := h.ServerName
		if name == "" {
			name = outside
		}
		return p.ca.leaf(name)
	}})
	out := tls.Client(up, &tls.Config{InsecureSkipVerify: true, ServerName: "a.example"})
	go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
	_, _ = io.Copy(in, out)
	_ = in.Close()
}

func (p *parent) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.saw)
}

// behind puts a policy in force whose requests go through the parent proxy.
func (w *world) behind(url, slot string, routes ...egress.Route) {
	w.t.Helper()
	doc := egress.Document{
		Version: egress.DocumentVersion, Routes: routes, UpstreamCA: string(upstreamCA().CertPEM()),
		Tokens: map[string]egress.Token{"EGRESS_TOKEN_0": {Value: secret}, "EGRESS_TOKEN_1": {Value: hopToken}},
		Parent: &egress.Parent{URL: url, Slot: slot}, Canary: "canary-value-of-the-test",
	}
	p, err := NewPolicy(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy.SetPolicy(p)
}

func poolOf(ca *CA) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.CertPEM())
	return pool
}
