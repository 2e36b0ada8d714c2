package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// Attacks A6, B4: names that parsers read differently, and addresses.
func TestConnectTargets(t *testing.T) {
	w := newWorld(t, route("*.google.com", 443), route("a.example", 443), route("169.254.169.254", 443))
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	tests := map[string]int{
		"a.example:444": 403, "b.example:443": 403, "1.2.3.4:443": 403, "[2001:db8::1]:443": 403,
		"evil.com\x00.google.com:443": 400, "evil_com.google.com:443": 400, "a.example.:443": 400,
		"0x7f.1:443": 400, "2130706433:443": 400, "0177.0.0.1:443": 400, "127.1:443": 400,
		"[::1%25lo]:443": 400, "[::ffff:1.2.3.4]:443": 400, "b\u00fccher.google.com:443": 400,
		"a.example": 400, "a.example:0": 400, "a.example:0443": 400, "a.example:65536": 400,
		"x.y.google.com:443": 403, "google.com:443": 403, "_egress.local:443": 403,
	}
	for target, want := range tests {
		res, body := w.raw("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
		if res.StatusCode != want || !strings.HasPrefix(errorOf(t, body), "egress: ") {
			t.Errorf("%q: %s %s", target, res.Status, body)
		}
		if res.Header.Get("Content-Type") != "application/json" || res.ContentLength != int64(len(body)) {
			t.Errorf("%q: %v", target, res.Header)
		}
	}
	if len(seen.paths())+len(w.asked)+len(w.dialled) != 0 {
		t.Errorf("something left: %v %v %v", seen.paths(), w.asked, w.dialled)
	}
}

// Attack A7: no policy and an empty list pass nothing.
func TestNothingWithoutRoutes(t *testing.T) {
	w := newWorld(t)
	for _, want := range []string{"not configured yet", "no route"} {
		res, body := w.raw("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
		// Many programs show no more of such an answer than its first line.
		if !strings.Contains(errorOf(t, body), want) || !strings.Contains(res.Status, want) {
			t.Errorf("CONNECT: %s %s", res.Status, body)
		}
		_, body = do(t, w.client(false), "GET", "http://a.example/", nil)
		if !strings.Contains(errorOf(t, body), want) {
			t.Errorf("GET: %s", body)
		}
		w.policy()
	}
	if len(w.asked) != 0 {
		t.Errorf("resolved %v", w.asked)
	}
}

// Attack B2: the name in the ClientHello is that of the CONNECT.
func TestSNI(t *testing.T) {
	w := newWorld(t, route("a.example", 443), route("b.example", 443))
	for _, sni := range []string{"b.example", "evil.example", ""} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if sni == "" {
			continue // crypto/tls sends none for an address: see below
		}
		if _, err := w.tunnel("a.example:443", sni); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%q: %v", sni, err)
		}
	}
	if _, err := w.tunnel("a.example:443", "192.0.2.1"); err == nil {
		t.Error("a tunnel without a name was served")
	}
	if _, err := w.tunnel("a.example:443", "A.example"); err != nil {
		t.Errorf("right name: %v", err)
	}
}

// Attacks B1, B9: every request names the tunnel's own host and port.
func TestHostOfEveryRequest(t *testing.T) {
	w := newWorld(t, authed("a.example", 443), route("b.example", 443), route("a.example", 444))
	seen := w.serve("443", true, func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "ok") })
	tests := []struct {
		head string
		want int
	}{
		{"GET /1 HTTP/1.1\r\nHost: a.example\r\n", 200},
		{"GET /2 HTTP/1.1\r\nHost: A.EXAMPLE:443\r\n", 200},
		{"GET /3 HTTP/1.1\r\nHost: b.example\r\n", 403},
		{"GET /4 HTTP/1.1\r\nHost: a.example:444\r\n", 403},
		{"GET https://a.example/5 HTTP/1.1\r\nHost: a.example\r\n", 200},
		{"GET https://b.example/6 HTTP/1.1\r\nHost: b.example\r\n", 403},
		{"GET https://b.example/7 HTTP/1.1\r\nHost: a.example\r\n", 400},
	}
	c, err := w.tunnel("a.example:443", "a.example")
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	for _, tt := range tests { // one connection for all
		res, body := over(t, c, br, tt.head+"\r\n")
		if res.StatusCode != tt.want {
			t.Errorf("%q: %s %s", tt.head, res.Status, body)
		}
	}
	want := []string{"a.example/1", "a.example/2", "a.example/5"}
	if diff := cmp.Diff(want, seen.paths()); diff != "" {
		t.Error(diff)
	}
}

// Attack B5: what follows CONNECT is TLS.
func TestNotTLS(t *testing.T) {
	w := newWorld(t, route("a.example", 443))
	for _, first := range []string{"SSH-2.0-OpenSSH_9.2\r\n", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(c, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n%s", first)
		all, _ := io.ReadAll(c)
		_ = c.Close()
		if !bytes.HasPrefix(all, []byte(established)) || !bytes.Contains(all, []byte("must be TLS")) {
			t.Errorf("%q: %q", first, all)
		}
	}
	if len(w.dialled) != 0 {
		t.Errorf("dialled %v", w.dialled)
	}
}

// Attack B8: each request is decided about, also on a connection that served
// the same one before.
func TestPolicyChangeOnReusedConnection(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, route("a.example", 443))
		seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
		c := w.client(h2)
		limited := route("a.example", 443)
		limited.Matches = []egress.Match{{Methods: []string{"GET"}, Paths: []string{"/ok"}}}
		for i, routes := range [][]egress.Route{{route("a.example", 443)}, {limited}, {}, {route("a.example", 443)}} {
			w.policy(routes...)
			res, _ := do(t, c, "GET", "https://a.example/x", nil)
			if want := []int{200, 403, 403, 200}[i]; res.StatusCode != want {
				t.Errorf("policy %d: %s", i, res.Status)
			}
		}
		if n := len(seen.paths()); n != 2 {
			t.Errorf("upstream saw %d requests", n)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		connects := 0
		for _, e := range w.entries {
			if e.Method == "CONNECT" {
				connects++
			}
		}
		if len(w.dialled) != 2 || connects != 0 {
			t.Errorf("dialled %v; the tunnel should have been reused", w.dialled)
		}
	})
}

// Attack B8: an answer that is still streaming is cut with its route.
func TestStreamIsCut(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, route("a.example", 443), route("b.example", 443))
		stop := make(chan struct{})
		w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprint(rw, "first")
			_ = http.NewResponseController(rw).Flush()
			select {
			case <-r.Context().Done():
			case <-stop:
			}
		})
		t.Cleanup(func() { close(stop) }) // before the server waits for it
		a, err := w.client(h2).Get("https://a.example/")
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.client(h2).Get("https://b.example/")
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 5)
		_, _ = io.ReadFull(a.Body, buf)
		_, _ = io.ReadFull(b.Body, buf)
		w.policy(route("b.example", 443))
		if _, err := io.ReadAll(a.Body); err == nil {
			t.Error("the forbidden stream ended as if it were whole")
		}
		more := make(chan error, 1)
		go func() {
			_, err := b.Body.Read(buf)
			more <- err
		}()
		select {
		case err := <-more:
			t.Errorf("the other stream was cut: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
	})
}

// Attacks C1, C3: smuggling on a kept connection reaches nobody.
func TestSmuggling(t *testing.T) {
	w := newWorld(t, route("a.example", 80))
	seen := w.serve("80", false, func(http.ResponseWriter, *http.Request) {})
	post := "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n"
	hidden := "GET http://a.example/hidden HTTP/1.1\r\nHost: a.example\r\n\r\n"
	for _, input := range []string{
		post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		post + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + hidden,
		post + "Transfer-Encoding: xchunked\r\n\r\n" + hidden,
		post + "Content-Length: 0\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n" + hidden,
		"GET http://a.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n" + hidden,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" +
			"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
	} {
		res, body := w.raw(input)
		if res.StatusCode != 400 || !res.Close || !strings.HasPrefix(errorOf(t, body), "egress: malformed request") {
			t.Errorf("%q: %s %s", input, res.Status, body)
		}
	}
	if n := len(seen.paths()); n != 0 {
		t.Errorf("upstream saw %v", seen.paths())
	}
}

// Attacks C2, C3: the same rules on every way in.
func TestPaths(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		port := map[string]int{"http": 80, "https": 443}[scheme]
		r := route("a.example", port)
		r.Matches = []egress.Match{{Methods: []string{"GET"}, Paths: []string{"/public"}}}
		w := newWorld(t, r)
		seen := w.serve(fmt.Sprint(port), scheme == "https", func(http.ResponseWriter, *http.Request) {})
		tests := map[string]int{
			"/public": 200, "/public/x?y=/../": 200, "/p%75blic/x": 200, "/publicity": 403, "/secret": 403, "/": 403,
			"/public/../secret": 400, "/public/%2e%2e/secret": 400, "/public%2f..%2fsecret": 400, "/public/..;x/secret": 400,
			"/public/%252e%252e/secret": 400, "/public/x%00": 400, "/public//x": 400, "/public\\..\\secret": 400,
		}
		for path, want := range tests {
			line := "GET " + path
			if scheme == "http" {
				line = "GET http://a.example" + path
			}
			input := line + " HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
			var res *http.Response
			var body string
			if scheme == "http" {
				res, body = w.raw(input)
			} else {
				c, err := w.tunnel("a.example:443", "a.example")
				if err != nil {
					t.Fatal(err)
				}
				res, body = over(t, c, bufio.NewReader(c), input)
			}
			if res.StatusCode != want {
				t.Errorf("%s %s: %s %s", scheme, path, res.Status, body)
			}
		}
		if len(seen.paths()) != 3 {
			t.Errorf("%s: upstream saw %v", scheme, seen.paths())
		}
	}
}

// git over HTTPS: push never, fetch where the route says so.
func TestGit(t *testing.T) {
	fetch := route("b.example", 443)
	fetch.GitFetch = true
	w := newWorld(t, route("a.example", 443), fetch)
	w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	tests := map[string]int{
		"GET https://a.example/r.git/info/refs?service=git-receive-pack":         403,
		"GET https://b.example/r.git/info/refs?service=git-receive-pack":         403,
		"GET https://b.example/r.git/info/refs?a=b&s%65rvice=git%2Dreceive-pack": 403,
		"POST https://b.example/r.git/git-receive-pack":                          403,
		"POST https://b.example/r.git/git%2dreceive%2Dpack":                      403,
		"POST https://b.example/r.git/GIT-receive-pack;x":                        403,
		"GET https://a.example/r.git/info/refs?service=git-upload-pack":          403,
		"POST https://a.example/r.git/git-upload-pack":                           403,
		"GET https://b.example/r.git/info/refs?service=git-upload-pack":          200,
		"POST https://b.example/r.git/git-upload-pack":                           200,
		"GET https://a.example/search?q=git-receive-pack":                        200,
	}
	for request, want := range tests {
		method, url, _ := strings.Cut(request, " ")
		res, body := do(t, w.client(true), method, url, nil)
		if res.StatusCode != want || want == 403 && !strings.Contains(body, "git.remotes") {
			t.Errorf("%s: %s %s", request, res.Status, body)
		}
	}
}

// Attacks A5, E3, E4: where a name leads decides, and that address is dialled.
func TestAddresses(t *testing.T) {
	listed := route("listed.example", 443)
	listed.SSRFIPAllowlist = []string{"10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16"}
	w := newWorld(t, route("a.example", 443), listed, route("127.0.0.1", 443), route("10.1.1.1", 443))
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	tests := []struct {
		host  string
		addrs []string
		want  int
	}{
		{"a.example", []string{"169.254.169.254"}, 403},
		{"a.example", []string{"127.0.0.1"}, 403},
		{"a.example", []string{"::1"}, 403},
		{"a.example", []string{"::ffff:169.254.169.254"}, 403},
		{"a.example", []string{"64:ff9b::a9fe:a9fe"}, 403},
		{"a.example", []string{"2002:a9fe:a9fe::1"}, 403},
		{"a.example", []string{"fd00:ec2::254"}, 403},
		{"a.example", []string{"10.0.0.1", "192.168.1.1", "172.17.0.1", "100.64.0.1", "fd12::1"}, 403},
		{"a.example", []string{"10.0.0.1", outside, "127.0.0.1"}, 200},
		{"listed.example", []string{"10.0.0.7"}, 200},
		{"listed.example", []string{"192.168.0.7"}, 403},
		{"listed.example", []string{"127.0.0.1"}, 403},
		{"listed.example", []string{"169.254.169.254"}, 403},
		{"127.0.0.1", nil, 403},
		{"10.1.1.1", nil, 403},
	}
	for _, tt := range tests {
		w.mu.Lock()
		w.names, w.dialled = map[string][]string{tt.host: tt.addrs}, nil
		w.mu.Unlock()
		w.policy(w.proxy.Policy().Routes()...)
		res, body := do(t, w.client(true), "GET", "https://"+tt.host+"/", nil)
		if res.StatusCode != tt.want {
			t.Errorf("%s %v: %s %s", tt.host, tt.addrs, res.Status, body)
		}
		for _, d := range w.dialled {
			if !strings.HasPrefix(d, outside) && !strings.HasPrefix(d, "10.0.0.7:") {
				t.Errorf("%s %v: dialled %s", tt.host, tt.addrs, d)
			}
		}
	}
	if n := len(seen.paths()); n != 2 {
		t.Errorf("upstream saw %d", n)
	}
}

func TestCheckAddr(t *testing.T) {
	ten := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	for _, s := range []string{
		"0.0.0.0", "0.1.2.3", "127.8.9.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "100.100.100.200",
		"168.63.129.16", "192.0.0.192", "::", "::1", "::7f00:1", "fe80::1", "ff02::1", "fd00:ec2::254", "fd20:ce::254",
		"::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:0:7f00:1", "2001:db8::5efe:7f00:1",
	} {
		if checkAddr("h", netip.MustParseAddr(s), ten) == nil {
			t.Errorf("%s passed although it never may", s)
		}
	}
	for _, s := range []string{
		"10.0.0.1", "172.31.0.1", "192.168.0.1", "100.64.0.1", "192.0.0.1", "198.18.0.1", "240.0.0.1", "fc00::1",
		"fec0::1", "2001::1", "2002:808:808::1", "64:ff9b:1::1", "64:ff9b::a00:1",
	} {
		if checkAddr("h", netip.MustParseAddr(s), nil) == nil || checkAddr("h", netip.MustParseAddr(s), ten) != nil {
			t.Errorf("%s is not an address that a route may list", s)
		}
	}
	for _, s := range []string{"8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "192.0.2.1", "172.32.0.1"} {
		if err := checkAddr("h", netip.MustParseAddr(s), nil); err != nil {
			t.Error(err)
		}
	}
}

func TestLocalPages(t *testing.T) {
	r := authed("a.example", 443)
	r.Source = "bottle /home/u/.bot-bottle/bottles/dev.md:7"
	w := newWorld(t, r)
	_, body := do(t, w.client(false), "GET", "http://_egress.local/allowlist", nil)
	want := `{
  "routes": [
    {
      "host": "a.example",
      "port": 443,
      "auth": "yes",
      "source": "bottle dev.md:7"
    }
  ]
}
`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	_, body = do(t, w.client(false), "GET", "http://_egress.local/explain?url=https://b.example/x", nil)
	if !strings.Contains(body, "- host: b.example") || !strings.Contains(body, `"allowed": false`) {
		t.Error(body)
	}
	res, _ := do(t, w.client(false), "POST", "http://_egress.local/", nil)
	if res.StatusCode != 405 || len(w.asked) != 0 {
		t.Errorf("%s, asked %v", res.Status, w.asked)
	}
}
