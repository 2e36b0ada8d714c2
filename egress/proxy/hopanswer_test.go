package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestHopOrders(t *testing.T) {
	x := &exchange{live: &live{policy: &Policy{hop: &Hop{Name: "pipelock", Roots: x509.NewCertPool()}}}}
	x.r = &http.Request{Header: http.Header{"X-Pipelock-Agent": {"other"}, "X_Pipelock_Mode": {"audit"}, "X-Pipe": {"kept"}}}
	dropHeaders(x.r.Header, x.hopOrders())
	if len(x.r.Header) != 1 || x.r.Header.Get("X-Pipe") != "kept" {
		t.Errorf("%v", x.r.Header)
	}
	x.live.policy.hop = nil
	x.r.Header.Set("X-Pipelock-Agent", "other")
	if names := x.hopOrders(); len(names) > 0 {
		t.Errorf("without a hop %v go", names)
	}
}

// Only what can be the hop's is marked, and no byte of a body changes.
func TestNoteHop(t *testing.T) {
	ca, err := LoadOrCreateCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	own, err := ca.leaf("a.example")
	if err != nil {
		t.Fatal(err)
	}
	other, err := upstreamCA().leaf("a.example")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertPEM())
	hop := &Hop{Name: "pipelock", Roots: roots}
	const text = "blocked: request body contains secret: Token\n"
	for name, c := range map[string]struct {
		hop    *Hop
		status int
		kind   string
		body   string
		length int64
		leaf   *tls.Certificate
		noted  bool
	}{
		"in a tunnel":          {hop, 403, "text/plain; charset=utf-8", text, int64(len(text)), own, true},
		"in plain":             {hop, 403, "text/plain", text, int64(len(text)), nil, true},
		"passed through":       {hop, 403, "text/plain", text, int64(len(text)), other, false},
		"another status":       {hop, 404, "text/plain", text, int64(len(text)), own, false},
		"another type":         {hop, 403, "application/json", text, int64(len(text)), own, false},
		"other words":          {hop, 403, "text/plain", "you may not do this", 19, own, false},
		"no length":            {hop, 403, "text/plain", text, -1, own, false},
		"long":                 {hop, 403, "text/plain", text + strings.Repeat("x", maxHopRefusal), int64(len(text)) + maxHopRefusal, own, false},
		"no hop":               {nil, 403, "text/plain", text, int64(len(text)), own, false},
		"a hop that looks not": {&Hop{Name: "the parent proxy"}, 403, "text/plain", text, int64(len(text)), nil, false},
	} {
		x := &exchange{live: &live{policy: &Policy{hop: c.hop}}}
		x.target.Host = "a.example"
		res := &http.Response{
			StatusCode: c.status, Header: http.Header{"Content-Type": {c.kind}, hopNote: {"forged"}},
			Body: io.NopCloser(strings.NewReader(c.body)), ContentLength: c.length,
		}
		if c.leaf != nil {
			res.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.leaf.Leaf}}
		}
		if err := x.noteHop(res); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != c.body {
			t.Errorf("%s: the body became %q, %v", name, body, err)
		}
		want := ""
		if c.noted {
			want = "egress: pipelock blocked this request, unless a.example says so itself"
		}
		if got := res.Header.Get(hopNote); got != want || (x.entry.Reason != "") != c.noted {
			t.Errorf("%s: %q, %q", name, got, x.entry.Reason)
		}
	}
}
