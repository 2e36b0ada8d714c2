package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/proxy"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
)

// A real proxy, whose outside cannot be reached.
type insideOf struct {
	*proxy.Proxy
	client *http.Client
}

func (insideOf) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("192.0.2.10")}, nil
}

func newInside(t *testing.T) insideOf {
	t.Helper()
	ca, err := proxy.LoadOrCreateCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var in insideOf
	in.Proxy, err = proxy.New(proxy.Options{CA: ca, Resolver: in, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("nobody there")
	}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go in.ServeProxy(c)
		}
	}()
	through := &url.URL{Scheme: "http", Host: ln.Addr().String()}
	in.client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(through)}, Timeout: 20 * time.Second}
	t.Cleanup(func() {
		in.client.CloseIdleConnections()
		_ = ln.Close()
		_ = in.Close()
	})
	return in
}

// ask sends a request and reads a JSON answer of the proxy's own.
func (in insideOf) ask(t *testing.T, method, target string, to any) int {
	t.Helper()
	r, err := http.NewRequest(method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := in.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if method != http.MethodHead && json.Unmarshal(b, to) != nil {
		t.Fatalf("%s %s: %d %q", method, target, resp.StatusCode, b)
	}
	return resp.StatusCode
}

func pick[T any](g *rand.Rand, from ...T) T { return from[g.IntN(len(from))] }

func randomEgress(g *rand.Rand) []egress.Route {
	var out []egress.Route
	seen := map[string]bool{}
	for i := range g.IntN(12) {
		r := egress.Route{
			Host: pick(g, "a.example", "b.example", "x.a.example", "*.example", "**.example", "*.a.example", "192.0.2.7"),
			Port: pick(g, 443, 80, 8080), Source: fmt.Sprintf("bottle dev.md:%d", i),
			WebSocket: g.IntN(3) == 0, GitFetch: g.IntN(3) == 0, TLSPassthrough: g.IntN(4) == 0,
		}
		for range g.IntN(3) {
			m := egress.Match{}
			if g.IntN(2) == 0 {
				m.Methods = []string{pick(g, "GET", "POST", "PUT")}
			}
			if g.IntN(2) == 0 {
				m.Paths = []string{pick(g, "/", "/v1", "/v1/x", "/ä")}
			}
			r.Matches = append(r.Matches, m)
		}
		if g.IntN(4) == 0 {
			r.Auth = &egress.Auth{Scheme: "Bearer", TokenRef: pick(g, "T", "U")}
		}
		if key := fmt.Sprint(r.Host, r.Port); !seen[key] {
			seen[key] = true
			out = append(out, r)
		}
	}
	return out
}

func randomTarget(g *rand.Rand) (method, target string) {
	return pick(g, "GET", "POST", "DELETE", "TRACE"),
		pick(g, "http", "http", "https", "ws", "wss") + "://" +
			pick(g, "a.example", "b.example", "x.a.example", "y.x.a.example", "c.example", "other.test", "192.0.2.7", "0x7f.1", "A.example") +
			pick(g, "", "", ":443", ":80", ":8080", ":0") +
			pick(g, "", "/", "/v1", "/v1/x?q=1", "/v10", "/v1%2fx", "/v1/../x", "/%c3%a4", "/r.git/info/refs?service=git-upload-pack", "/r.git/git-receive-pack")
}

// What bb explain says of a request on the host is what the page inside the
// bottle says, word for word, and what becomes of the request.
func TestExplainSaysWhatTheProxyDoes(t *testing.T) {
	in := newInside(t)
	allowed, denied, sent := 0, 0, 0
	for seed := range uint64(300) {
		g := rand.New(rand.NewPCG(seed, 9))
		provider := pick(g, "shell", "claude", "codex")
		x := &manifest.Agent{Name: "one", Scope: manifest.ScopeHome, Bottle: &manifest.Bottle{
			Name: "dev", File: "/h/dev.md", Provider: manifest.ProviderDecl{Template: provider},
			Egress: manifest.Egress{Routes: randomEgress(g)},
		}}
		one, problems := compile.AdHoc(x, compile.Options{
			DefaultBackend: "fake", Scopes: map[manifest.Scope]string{manifest.ScopeHome: "0123456789abcdef"},
		}, "1")
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		s := one.Specs[0]
		secrets := spec.Secrets{Tokens: map[string]string{}}
		for slot := range s.Live.Tokens {
			secrets.Tokens[slot] = "value-of-" + slot
		}
		policy, err := proxy.NewPolicy(s.Document(secrets, nil))
		if err != nil {
			t.Fatal(err)
		}
		in.SetPolicy(policy)
		for range 12 {
			method, target := randomTarget(g)
			e := explain(x, s, method, target, time.Now())
			if e.Allowed {
				allowed++
			} else {
				denied++
			}
			var page struct {
				Allowed bool   `json:"allowed"`
				Text    string `json:"text"`
			}
			in.ask(t, "GET", "http://"+egress.LocalHost+"/explain?"+url.Values{"method": {method}, "url": {target}}.Encode(), &page)
			if page.Text != e.Text || page.Allowed != e.Allowed || !strings.HasPrefix(e.lines(), page.Text+"\n") {
				t.Fatalf("seed %d: %s %s\nthe page: %s\nbb explain: %s", seed, method, target, page.Text, e.lines())
			}
			if !strings.HasPrefix(target, "http://") || e.Status == http.StatusBadRequest {
				continue
			}
			sent++
			var answer struct{ Error string }
			status := in.ask(t, method, target, &answer)
			if e.Allowed && (status != http.StatusBadGateway || answer.Error == "") {
				t.Fatalf("seed %d: %s %s is allowed, and ended with %d %s", seed, method, target, status, answer.Error)
			}
			if !e.Allowed && (status != e.Status || answer.Error != e.Text) {
				t.Fatalf("seed %d: %s %s\nthe proxy: %d %s\nbb explain: %s", seed, method, target, status, answer.Error, e.Text)
			}
		}
	}
	if allowed < 100 || denied < 100 || sent < 300 {
		t.Errorf("%d allowed, %d denied, %d sent", allowed, denied, sent)
	}
}

// Of what bb does not look into, no promise is made.
func TestExplainTunnel(t *testing.T) {
	x := &manifest.Agent{Name: "one", Scope: manifest.ScopeHome, Bottle: &manifest.Bottle{
		Name: "dev", File: "/h/dev.md", Provider: manifest.ProviderDecl{Template: "shell"},
		Egress: manifest.Egress{Routes: []egress.Route{{Host: "a.example", Port: 443, Tunnel: true, Source: "bottle dev.md:4"}}},
		From:   map[string]manifest.Pos{"egress.routes[0].host": {File: "/h/dev.md", Line: 4}},
	}}
	one, problems := compile.AdHoc(x, compile.Options{
		DefaultBackend: "fake", Scopes: map[manifest.Scope]string{manifest.ScopeHome: "0123456789abcdef"},
	}, "1")
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	one.Specs[0].Gate.Pipelock = true
	want := "egress: GET a.example/x is allowed by bottle dev.md:4, not inspected\n" +
		"  rule     /h/dev.md:4\n  auth     none; the agent's own account\n" +
		"  hits     not inspected: bb sees the name of the host, and nothing of the request\n  through  pipelock\n"
	if got := explain(x, one.Specs[0], "GET", "https://a.example/x", time.Now()); got.lines() != want || got.Hits != nil || !got.Tunnel {
		t.Errorf("%s\nwant\n%s", got.lines(), want)
	}
}
