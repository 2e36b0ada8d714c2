package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// port connects to one of the transparent ports.
func (w *world) port(n int) net.Conn {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	if n == 443 {
		go w.proxy.ServeTLS(far)
	} else {
		go w.proxy.ServePlain(far)
	}
	w.t.Cleanup(func() { _ = near.Close() })
	_ = near.SetDeadline(time.Now().Add(10 * time.Second))
	return near
}

// unaware is a client without a proxy: it goes where policy DNS sends it.
func (w *world) unaware(h2 bool) *http.Client {
	t := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: w.roots}, ForceAttemptHTTP2: h2,
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			if strings.HasSuffix(address, ":443") {
				return w.port(443), nil
			}
			return w.port(80), nil
		},
	}
	w.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{
		Transport: t, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// entry is the last line of the log.
func (w *world) entry(n int) Entry {
	w.t.Helper()
	w.logged(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.entries[n-1]
}

func TestTransparent(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		plain := authed("a.example", 80)
		plain.Matches = []egress.Match{{Methods: []string{"GET"}, Paths: []string{"/ok"}}}
		w := newWorld(t, authed("a.example", 443), plain)
		w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprint(rw, r.Proto, " ", r.Header.Get("Authorization"))
		})
		w.serve("80", false, func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, r.Header.Get("Authorization")) })
		c := w.unaware(h2)
		res, body := do(t, c, "GET", "https://a.example/x", nil, "Authorization", "Bearer own")
		if res.StatusCode != 200 || (res.ProtoMajor == 2) != h2 || !strings.HasPrefix(body, "HTTP/2.0 Bearer ") {
			t.Errorf("%s %s %q", res.Status, res.Proto, body)
		}
		if strings.Contains(body, "own") || strings.Contains(body, secret) {
			t.Errorf("body %q", body)
		}
		for path, want := range map[string]int{"/ok": 200, "/no": 403, "/ok/../no": 400, "/ok/x?q=1": 200} {
			if res, body := do(t, c, "GET", "http://a.example"+path, nil); res.StatusCode != want {
				t.Errorf("%s: %s %s", path, res.Status, body)
			}
		}
		if res, body := do(t, c, "GET", "http://_egress.local/allowlist", nil); res.StatusCode != 200 || !strings.Contains(body, `"a.example"`) {
			t.Errorf("local page: %s %s", res.Status, body)
		}
		if res, body := do(t, c, "GET", "http://b.example/", nil); res.StatusCode != 403 || !strings.Contains(errorOf(t, body), "no route for b.example:80") {
			t.Errorf("denied: %s %s", res.Status, body)
		}
		for _, d := range w.dialled {
			if !strings.HasPrefix(d, outside) {
				t.Errorf("dialled %s", d)
			}
		}
	})
}

// Attacks A6, B2, B4: port 443 goes by the server name, and has no certificate
// for one that no route has.
func TestServerNames(t *testing.T) {
	w := newWorld(t, route("a.example", 443), route("*.w.example", 443), route("b.example", 80), route("192.0.2.10", 443))
	w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	tests := map[string]struct{ alert, reason string }{
		"a.example":                            {},
		"A.Example":                            {},
		"x.w.example":                          {},
		"c.example":                            {"unrecognized name", "no route for c.example:443"},
		"b.example":                            {"unrecognized name", "no route for b.example:443"},
		"x.y.w.example":                        {"unrecognized name", "no route"},
		"w.example":                            {"unrecognized name", "no route"},
		"192.0.2.10":                           {"unrecognized name", "no server name"}, // an address is not sent
		"":                                     {"unrecognized name", "no server name"},
		"a_b.w.example":                        {"unrecognized name", "only letters"},
		"_egress.local":                        {"unrecognized name", "plain http only"},
		"0x7f.1":                               {"unrecognized name", "not a canonical IP"},
		"127.1":                                {"unrecognized name", "not a canonical IP"},
		strings.Repeat("a", 64) + ".w.example": {"unrecognized name", "longer than 63"},
	}
	n := 0
	for sni, tt := range tests {
		err := tls.Client(w.port(443), &tls.Config{RootCAs: w.roots, ServerName: sni, InsecureSkipVerify: sni == ""}).Handshake()
		if tt.alert == "" {
			if err != nil {
				t.Errorf("%q: %v", sni, err)
			}
			continue
		}
		n++
		e := w.entry(n)
		if err == nil || !strings.Contains(err.Error(), tt.alert) || !strings.Contains(e.Reason, tt.reason) ||
			e.Verdict != VerdictDenied || e.Method != methodTLS || e.Port != 443 {
			t.Errorf("%q: %v, %+v", sni, err, e)
		}
	}
	if len(w.asked)+len(w.dialled) != 0 {
		t.Errorf("asked %v, dialled %v", w.asked, w.dialled)
	}
}

// Attacks B1, B2, B6, B9: inside TLS every request names the server name.
func TestTransparentHostOfEveryRequest(t *testing.T) {
	w := newWorld(t, authed("a.example", 443), route("b.example", 443), route("a.example", 444))
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	c := tls.Client(w.port(443), &tls.Config{RootCAs: w.roots, ServerName: "a.example"})
	br := bufio.NewReader(c)
	for _, tt := range []struct {
		head string
		want int
	}{
		{"GET /1 HTTP/1.1\r\nHost: a.example\r\n", 200},
		{"GET /2 HTTP/1.1\r\nHost: A.example:443\r\n", 200},
		{"GET /3 HTTP/1.1\r\nHost: b.example\r\n", 403},
		{"GET /4 HTTP/1.1\r\nHost: a.example:444\r\n", 403},
		{"GET https://b.example/5 HTTP/1.1\r\nHost: b.example\r\n", 403},
		{"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n", 400},
	} {
		if res, body := over(t, c, br, tt.head+"\r\n"); res.StatusCode != tt.want {
			t.Errorf("%q: %s %s", tt.head, res.Status, body)
		}
	}
	h2 := w.unaware(true)
	for host, want := range map[string]int{"a.example": 200, "b.example": 403, "a.example:444": 403} {
		req, _ := http.NewRequest("GET", "https://a.example/h2", nil)
		req.Host = host
		res, err := h2.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want || res.ProtoMajor != 2 {
			t.Errorf("h2 %s: %s %s", host, res.Proto, res.Status)
		}
	}
	if diff := cmp.Diff([]string{"a.example/1", "a.example/2", "a.example/h2"}, seen.paths()); diff != "" {
		t.Error(diff)
	}
}

// Attacks B1, B9, C1 and CONNECT on port 80: the Host alone says where to, is
// there once, and everything else that names a place says the same.
func TestPort80(t *testing.T) {
	w := newWorld(t, authed("a.example", 80), route("b.example", 80), route("a.example", 8080), route("10.0.0.1", 80), route("127.0.0.53", 80))
	seen := w.serve("80", false, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	hidden := "GET /hidden HTTP/1.1\r\nHost: a.example\r\n\r\n"
	for input, want := range map[string]int{
		"GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n":                                                                      200,
		"GET /1 HTTP/1.1\r\nHost: A.EXAMPLE:80\r\n\r\n":                                                                   200,
		"GET /1 HTTP/1.0\r\nHost: a.example\r\n\r\n":                                                                      200,
		"GET http://a.example/1 HTTP/1.1\r\nHost: a.example\r\n\r\n":                                                      200,
		"GET //b.example/1 HTTP/1.1\r\nHost: a.example\r\n\r\n":                                                           200,
		"GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n":                                                       400,
		"GET http://a.example:8080/ HTTP/1.1\r\nHost: a.example\r\n\r\n":                                                  400,
		"GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n":                                                      400,
		"GET http://u@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n":                                                     400,
		"GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n":                                                                  403,
		"GET / HTTP/1.1\r\nHost: c.example\r\n\r\n":                                                                       403,
		"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n":                                                                        403,
		"GET / HTTP/1.1\r\nHost: 127.0.0.53\r\n\r\n":                                                                      403,
		"GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n":                                                                          400,
		"GET / HTTP/1.1\r\nHost: a.example\x00.b.example\r\n\r\n":                                                         400,
		"GET / HTTP/1.1\r\nHost: a.example.\r\n\r\n":                                                                      400,
		"GET / HTTP/1.1\r\nHost:\r\n\r\n":                                                                                 400,
		"GET / HTTP/1.1\r\n\r\n":                                                                                          400,
		"GET / HTTP/1.0\r\n\r\n":                                                                                          400,
		"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n":                                                    400,
		"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n":                                                            400,
		"CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n":                                                     400,
		"CONNECT a.example:443 HTTP/1.0\r\n\r\n":                                                                          400,
		"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n":                                                                   400,
		"TRACE / HTTP/1.1\r\nHost: a.example\r\n\r\n":                                                                     403,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                                                400,
		"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n":                                400,
		"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden: 400,
		"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + hidden:                400,
		"GET / HTTP/1.1\nHost: a.example\n\n":                                                                             400,
		"\x16\x03\x01\x00\x05hello":                                                                                       400,
	} {
		c := w.port(80)
		_, _ = io.WriteString(c, input)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%q: %v", input, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != want || want != 200 && !strings.HasPrefix(errorOf(t, string(body)), "egress: ") {
			t.Errorf("%q: %s %s", input, res.Status, body)
		}
		_ = c.Close()
	}
	for _, p := range seen.paths() {
		if p != "a.example/1" && p != "a.example//b.example/1" {
			t.Errorf("upstream saw %s", p)
		}
	}
	for _, d := range w.dialled {
		if !strings.HasPrefix(d, outside+":80") {
			t.Errorf("dialled %s", d)
		}
	}
}

// Attack B5: what comes to port 443 is TLS, or ends.
func TestPort443NotTLS(t *testing.T) {
	w := newWorld(t, route("a.example", 443))
	for i, tt := range []struct{ first, answer, reason string }{
		{"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 400 Bad Request: this is port 443: ", "plain HTTP"},
		{"SSH-2.0-OpenSSH_9.2\r\n", "", "is not TLS"},
		{strings.Repeat("\x00", 64), "", "is not TLS"},
		{"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", "", "no whole ClientHello"}, // a ServerHello
		// A ClientHello that says it is longer than one may be.
		{string(endless()), "", "no whole ClientHello"},
	} {
		c := w.port(443)
		go io.WriteString(c, tt.first) //nolint:errcheck // it may be hung up on
		got, _ := io.ReadAll(c)
		e := w.entry(i + 1)
		if !strings.HasPrefix(string(got), tt.answer) || tt.answer == "" && len(got) != 0 || !strings.Contains(e.Reason, tt.reason) {
			t.Errorf("%.20q: %q, %+v", tt.first, got, e)
		}
	}
	if len(w.asked)+len(w.dialled) != 0 {
		t.Errorf("asked %v, dialled %v", w.asked, w.dialled)
	}
}

// A7 on the transparent ports.
func TestTransparentWithoutRoutes(t *testing.T) {
	w := newWorld(t)
	for _, want := range []string{"not configured yet", "no route"} {
		res, body := do(t, w.unaware(false), "GET", "http://a.example/", nil)
		if res.StatusCode != 403 || !strings.Contains(errorOf(t, body), want) {
			t.Errorf("%s %s", res.Status, body)
		}
		if _, err := w.unaware(true).Get("https://a.example/"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%v", err)
		}
		if w.proxy.Covers("a.example") {
			t.Error("DNS would know a name that nothing may reach")
		}
		w.policy()
	}
}

// B8 on the transparent port: a connection does not outlive what it may do.
func TestTransparentPolicyChange(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, route("a.example", 443))
		seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
		c := w.unaware(h2)
		limited := route("a.example", 443)
		limited.Matches = []egress.Match{{Paths: []string{"/ok"}}}
		for i, routes := range [][]egress.Route{{route("a.example", 443)}, {limited}, {}, {tunnelled("a.example", 443)}} {
			w.policy(routes...)
			res, body := do(t, c, "GET", "https://a.example/x", nil)
			if want := []int{200, 403, 403, 403}[i]; res.StatusCode != want {
				t.Errorf("policy %d: %s %s", i, res.Status, body)
			}
		}
		if n := len(seen.paths()); n != 1 {
			t.Errorf("upstream saw %d requests", n)
		}
	})
}

// WebSockets and the limit of connections are those of the explicit proxy.
func TestTransparentWebSocket(t *testing.T) {
	w := newWorld(t, socket("a.example"))
	w.serve("443", true, echo)
	c := tls.Client(w.port(443), &tls.Config{RootCAs: w.roots, ServerName: "a.example"})
	br := bufio.NewReader(c)
	if _, err := io.WriteString(c, wsHead); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v %v", res, err)
	}
	fmt.Fprint(c, "ping\n")
	if line, err := br.ReadString('\n'); line != "ping\n" {
		t.Fatalf("%q %v", line, err)
	}
	w.policy(authed("a.example", 443))
	if _, err := br.ReadString('\n'); err == nil {
		t.Error("the socket survived its permission")
	}
}

func TestTransparentLimit(t *testing.T) {
	p, err := New(Options{CA: upstreamCA(), MaxConns: 2, HeaderTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	open := func(serve func(net.Conn)) net.Conn {
		a, b := net.Pipe()
		go serve(b)
		_ = a.SetDeadline(time.Now().Add(5 * time.Second))
		return a
	}
	open(p.ServeTLS)
	open(p.ServePlain)
	for end := time.Now().Add(5 * time.Second); len(p.conns) < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	for _, serve := range []func(net.Conn){p.ServeTLS, p.ServePlain, p.ServeProxy} {
		got, _ := io.ReadAll(open(serve))
		if !bytes.HasPrefix(got, []byte("HTTP/1.1 503 ")) {
			t.Errorf("%q", got)
		}
	}
	// Those who said nothing are given up.
	for end := time.Now().Add(5 * time.Second); len(p.conns) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("places are not given back")
		}
	}
}
