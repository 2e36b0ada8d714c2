package proxy

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// The same requests arrive the same, straight and through a parent; and with
// one no name of a target is resolved here, and only the parent is dialled.
func TestHopChangesNothing(t *testing.T) {
	routes := []egress.Route{authed("a.example", 443), authed("a.example", 80), route("b.example", 443), socket("ws.example")}
	run := func(t *testing.T, h2 bool, set func(*world)) []string {
		w := newWorld(t)
		handler := func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			rw.Header().Set("X-Saw", fmt.Sprint(r.Proto, r.Method, r.Host, r.RequestURI, r.Header, string(body)))
			rw.Header().Set("Trailer", "X-End")
			fmt.Fprint(rw, "answer")
			rw.Header().Set("X-End", "yes")
		}
		w.serve("443", true, handler)
		w.serve("80", false, handler)
		set(w)
		var out []string
		for _, request := range []string{
			"GET https://a.example/x?q=1", "POST https://a.example/y", "GET http://a.example/x", "POST http://a.example/y?z=%20",
			"GET https://b.example/x", "GET http://c.example/", "DELETE https://b.example/a%2fb",
		} {
			method, url, _ := strings.Cut(request, " ")
			for _, c := range []*http.Client{w.client(h2), w.unaware(h2)} {
				res, body := do(t, c, method, url, strings.NewReader(strings.Repeat(method, 3)), "X-Mine", "1", "User-Agent", "test", "Proxy-Authorization", "Basic own")
				out = append(out, fmt.Sprintln(request, res.StatusCode, res.Header["X-Saw"], res.Trailer, body))
			}
		}
		return out
	}
	both(t, func(t *testing.T, h2 bool) {
		straight := run(t, h2, func(w *world) { w.policy(routes...) })
		for _, useTLS := range []bool{false, true} {
			var w *world
			var p *parent
			through := run(t, h2, func(made *world) {
				w = made
				p = w.parentProxy(useTLS)
				scheme := map[bool]string{false: "http", true: "https"}[useTLS]
				w.behind(scheme+"://"+hopName+":3128", "EGRESS_TOKEN_1", routes...)
			})
			if diff := cmp.Diff(straight, through); diff != "" {
				t.Errorf("TLS %t (-straight +through)\n%s", useTLS, diff)
			}
			for _, name := range w.asked {
				if name != hopName {
					t.Errorf("resolved %s", name)
				}
			}
			for _, d := range w.dialled {
				if d != outside+":3128" {
					t.Errorf("dialled %s", d)
				}
			}
			for i, a := range p.auth {
				if a != hopBasic {
					t.Errorf("%s with %q", p.saw[i], a)
				}
			}
			if all := strings.Join(p.requests(), "\n"); !strings.Contains(all, "CONNECT a.example:443") || !strings.Contains(all, "GET http://a.example/x") {
				t.Errorf("the parent saw\n%s", all)
			}
			if text := strings.Join(through, ""); strings.Contains(text, "Proxy-Authorization") || strings.Contains(text, hopBasic) {
				t.Error("the parent's credential went to the target")
			}
		}
	})
}

// WebSockets and tunnels go by the parent too, and end with it.
func TestHopCarriesSocketsAndTunnels(t *testing.T) {
	w := newWorld(t)
	w.serve("443", true, echo)
	p := w.parentProxy(false)
	w.behind("http://"+hopName+":3128", "", socket("a.example"), tunnelled("t.example", 443))
	br, c, res := w.upgrade(wsHead)
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	fmt.Fprint(c, "ping\n")
	if line, err := br.ReadString('\n'); line != "ping\n" {
		t.Fatalf("%q %v", line, err)
	}
	var tunnels []*tls.Conn
	for _, open := range entriesOf {
		raw, err := open(w, "t.example")
		if err != nil {
			t.Fatal(err)
		}
		tc := tls.Client(raw, &tls.Config{RootCAs: upstreamRoots(), ServerName: "t.example"})
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		tunnels = append(tunnels, tc)
	}
	if diff := cmp.Diff([]string{"CONNECT a.example:443", "CONNECT t.example:443", "CONNECT t.example:443"}, p.requests()); diff != "" {
		t.Error(diff)
	}
	if len(w.asked) != 0 && sortedJoin(w.asked) != strings.TrimSpace(strings.Repeat(hopName+" ", len(w.asked))) {
		t.Errorf("resolved %v", w.asked)
	}
	// The same routes, but no longer through the parent: another way out.
	w.policy(socket("a.example"), tunnelled("t.example", 443))
	if _, err := br.ReadString('\n'); err == nil {
		t.Error("a socket goes on by a way that the policy has left")
	}
	for _, tc := range tunnels {
		if _, err := tc.Read(make([]byte, 1)); err == nil {
			t.Error("a tunnel goes on by a way that the policy has left")
		}
	}
}

func TestHopRefusals(t *testing.T) {
	page := func(status int, mediaType, body string) func(http.ResponseWriter, *http.Request) {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", mediaType)
			rw.Header().Set("Proxy-Authenticate", "Basic realm=x")
			rw.WriteHeader(status)
			fmt.Fprint(rw, body)
		}
	}
	tests := map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		status int
		want   string
	}{
		"denied":   {page(403, "text/plain", "\n  not in the list\nsecond"), 403, "egress: the parent proxy refused a.example: 403 Forbidden: not in the list"},
		"login":    {page(407, "", ""), 403, "egress: the parent proxy refused a.example: 407 Proxy Authentication Required"},
		"html":     {page(403, "text/html; charset=utf-8", "<html><style>x</style><title>\n Access &lt;b&gt;\n denied</title>"), 403, "egress: the parent proxy refused a.example: 403 Forbidden: Access <b> denied"},
		"no title": {page(403, "text/html", "<p>x"), 403, "egress: the parent proxy refused a.example: 403 Forbidden"},
		"down":     {page(503, "text/plain", "try later"), 502, "egress: the parent proxy answered 503 Service Unavailable for a.example: try later"},
		"redirect": {page(302, "text/plain", ""), 502, "egress: the parent proxy answered 302 Found for a.example"},
		"control":  {page(403, "text/plain", "a\x1b[31mred\x00\u202e"), 403, "egress: the parent proxy refused a.example: 403 Forbidden: a[31mred"},
		"long":     {page(403, "text/plain", strings.Repeat("x", 500)), 403, "egress: the parent proxy refused a.example: 403 Forbidden: " + strings.Repeat("x", 197) + "..."},
		"huge":     {page(403, "text/plain", strings.Repeat("x", 50_000)), 403, "egress: the parent proxy refused a.example: 403 Forbidden"},
		"secrets": {
			page(403, "text/plain", secret+" "+hopBasic+" "+hopToken+" canary-value-of-the-test "+base64.StdEncoding.EncodeToString([]byte(secret))), 403,
			"egress: the parent proxy refused a.example: 403 Forbidden: [redacted] Basic [redacted] [redacted] [redacted] [redacted]",
		},
		"split secret": {page(403, "text/plain", secret[:5]+"\x01"+secret[5:]), 403, "egress: the parent proxy refused a.example: 403 Forbidden: [redacted]"},
		"garbage": {func(rw http.ResponseWriter, _ *http.Request) {
			c, _, _ := http.NewResponseController(rw).Hijack()
			_, _ = io.WriteString(c, "SSH-2.0-x\r\n\r\n")
			_ = c.Close()
		}, 502, "egress: the parent proxy at " + hopName + ":3128 did not answer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.parentProxy(false).answer = tt.answer
			w.behind("http://"+hopName+":3128", "EGRESS_TOKEN_1", route("a.example", 443), tunnelled("t.example", 443))
			res, body := do(t, w.client(true), "GET", "https://a.example/", nil)
			if diff := cmp.Diff(tt.want, errorOf(t, body)); diff != "" || res.StatusCode != tt.status {
				t.Errorf("%s (-want +got)\n%s", res.Status, diff)
			}
			res, body = w.raw("CONNECT t.example:443 HTTP/1.1\r\nHost: t.example:443\r\n\r\n")
			if diff := cmp.Diff(strings.ReplaceAll(tt.want, "a.example", "t.example"), errorOf(t, body)); diff != "" || res.StatusCode != tt.status {
				t.Errorf("tunnel: %s (-want +got)\n%s", res.Status, diff)
			}
			w.logged(2)
			for _, e := range w.entries { // another machine's words are not for the log
				if strings.Contains(e.Reason, "not in the list") || strings.Contains(e.Reason, "xxx") {
					t.Errorf("%+v", e)
				}
			}
		})
	}
	// In absolute form only a request for a login is known to be the parent's.
	w := newWorld(t)
	w.parentProxy(false).answer = page(407, "text/plain", "who are you")
	w.behind("http://"+hopName+":3128", "", route("a.example", 80))
	res, body := do(t, w.client(true), "GET", "http://a.example/", nil)
	if res.StatusCode != 403 || res.Header.Get("Proxy-Authenticate") != "" || errorOf(t, body) != "egress: the parent proxy refused a.example:80: 407 Proxy Authentication Required" {
		t.Errorf("%s %v %s", res.Status, res.Header, body)
	}
}

func TestHopIsNotThere(t *testing.T) {
	w := newWorld(t)
	routes := []egress.Route{route("a.example", 443), route("a.example", 80)}
	ask := func(want string) {
		t.Helper()
		for _, url := range []string{"https://a.example/", "http://a.example/"} {
			res, body := do(t, w.client(true), "GET", url, nil)
			if res.StatusCode != 502 || !strings.Contains(errorOf(t, body), want) {
				t.Errorf("%s: %s %s", url, res.Status, body)
			}
		}
	}
	w.behind("http://"+hopName+":3128", "", routes...)
	ask("the parent proxy at " + hopName + ":3128 did not answer")
	w.names[hopName] = []string{}
	ask("does not resolve")
	delete(w.names, hopName)
	p := w.parentProxy(false) // speaks no TLS
	w.behind("https://"+hopName+":3128", "", routes...)
	ask("did not answer")
	other, err := LoadOrCreateCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(p)
	s.Config.ErrorLog = quiet
	s.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return other.leaf(hopName) }}
	s.StartTLS()
	defer s.Close()
	w.servers["3128"] = s.Listener.Addr().String()
	ask("certificate that is not trusted")
	if len(p.requests()) != 0 {
		t.Errorf("the parent saw %v", p.requests())
	}
	// A policy that wants pipelock passes nothing until it is told where.
	doc := document(routes...)
	doc.Pipelock = true
	policy, err := NewPolicy(doc)
	if err != nil {
		t.Fatal(err)
	}
	w.proxy.SetPolicy(policy)
	ask("pipelock is not running")
}

// Addresses and local names are not asked of a hop.
func TestHopFloor(t *testing.T) {
	w := newWorld(t)
	p := w.parentProxy(false)
	w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	hosts := []string{"169.254.169.254", "127.0.0.1", "10.0.0.1", "::1", "localhost", "x.localhost", "metadata.google.internal"}
	var routes []egress.Route
	for _, h := range hosts {
		routes = append(routes, route(h, 443), tunnelled(h, 444))
	}
	w.behind("http://"+hopName+":3128", "", append(routes, route("192.0.2.77", 443))...)
	for _, h := range hosts {
		res, body := do(t, w.client(true), "GET", "https://"+egress.Authority(h, 443, 443)+"/", nil)
		if res.StatusCode != 403 || !strings.HasPrefix(errorOf(t, body), "egress: ") {
			t.Errorf("%s: %s %s", h, res.Status, body)
		}
		a := egress.Authority(h, 444, 0)
		if res, body := w.raw("CONNECT " + a + " HTTP/1.1\r\nHost: " + a + "\r\n\r\n"); res.StatusCode != 403 {
			t.Errorf("%s: %s %s", a, res.Status, body)
		}
	}
	if len(p.requests()) != 0 {
		t.Errorf("the parent saw %v", p.requests())
	}
	do(t, w.client(true), "GET", "https://192.0.2.77/", nil)
	if diff := cmp.Diff([]string{"CONNECT 192.0.2.77:443"}, p.requests()); diff != "" {
		t.Error(diff)
	}
}

// The roots of a hop that intercepts count besides the policy's, and nobody
// else's; the name is checked, also where it is an address.
func TestHopRoots(t *testing.T) {
	own, err := LoadOrCreateCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	strange, err := LoadOrCreateCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		ca            *CA
		want, address int
	}{
		"its own":    {own, 200, 200},
		"straight":   {nil, 200, 502}, // httptest has a certificate of its own for who sends no name
		"a stranger": {strange, 502, 502},
	} {
		w := newWorld(t)
		w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
		p := w.parentProxy(false)
		p.ca = tt.ca
		doc := document(route("a.example", 443), route("192.0.2.10", 443), route("192.0.2.11", 443))
		doc.UpstreamCA = string(upstreamCA().CertPEM())
		policy, err := NewPolicy(doc)
		if err != nil {
			t.Fatal(err)
		}
		w.proxy.SetPolicy(policy.Through(Hop{Name: "pipelock", Address: "127.0.0.1:3128", Roots: poolOf(own)}))
		for url, want := range map[string]int{
			"https://a.example/": tt.want, "https://192.0.2.10/": tt.address,
			"https://192.0.2.11/": 502, // the certificate is that of another address
		} {
			if res, body := do(t, w.client(false), "GET", url, nil); res.StatusCode != want {
				t.Errorf("%s, %s: %s %s", name, url, res.Status, body)
			}
		}
		if len(w.asked) != 0 {
			t.Errorf("resolved %v", w.asked)
		}
	}
}

// A hop that takes its time is waited for, and not for ever; an end of the
// request ends the wait.
func TestHopIsSlow(t *testing.T) {
	w := newWorld(t)
	gone := make(chan struct{})
	w.parentProxy(false).answer = func(rw http.ResponseWriter, _ *http.Request) {
		c, rd, _ := http.NewResponseController(rw).Hijack()
		_, _ = rd.Read(make([]byte, 1)) // until it is hung up on
		_ = c.Close()
		close(gone)
	}
	w.behind("http://"+hopName+":3128", "", tunnelled("a.example", 443))
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
	time.Sleep(100 * time.Millisecond)
	w.policy() // forbids what waits
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 403 {
		t.Errorf("%v %v", res, err)
	}
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("the parent is still waited for")
	}
}

func TestParentDocument(t *testing.T) {
	for name, change := range map[string]func(*egress.Document){
		"both":        func(d *egress.Document) { d.Pipelock = true },
		"scheme":      func(d *egress.Document) { d.Parent.URL = "socks5://p.example:1" },
		"no port":     func(d *egress.Document) { d.Parent.URL = "http://p.example" },
		"user":        func(d *egress.Document) { d.Parent.URL = "http://u:hush@p.example:1" },
		"path":        func(d *egress.Document) { d.Parent.URL = "http://p.example:1/" },
		"query":       func(d *egress.Document) { d.Parent.URL = "http://p.example:1?x" },
		"empty query": func(d *egress.Document) { d.Parent.URL = "http://p.example:1?" },
		"fragment":    func(d *egress.Document) { d.Parent.URL = "http://p.example:1#" },
		"no host":     func(d *egress.Document) { d.Parent.URL = "http://:1" },
		"bad host":    func(d *egress.Document) { d.Parent.URL = "http://0x7f.1:1" },
		"empty":       func(d *egress.Document) { d.Parent.URL = "" },
		"no token":    func(d *egress.Document) { d.Parent.Slot = "EGRESS_TOKEN_9" },
		"no password": func(d *egress.Document) { d.Parent.Slot = "EGRESS_TOKEN_0" },
	} {
		doc := document(route("a.example", 443))
		doc.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: "hush-without-a-user"}
		doc.Parent = &egress.Parent{URL: "http://p.example:1"}
		if _, err := NewPolicy(doc); err != nil {
			t.Fatal(err)
		}
		change(&doc)
		if _, err := NewPolicy(doc); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
