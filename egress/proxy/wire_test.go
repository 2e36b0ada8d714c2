package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// Pipelined requests are answered in order, each decided about; the first bad
// one ends the connection after the answers before it.
func TestPipeline(t *testing.T) {
	w := newWorld(t, route("a.example", 443))
	seen := w.serve("443", true, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	c, err := w.tunnel("a.example:443", "a.example")
	if err != nil {
		t.Fatal(err)
	}
	head := " HTTP/1.1\r\nHost: a.example\r\n"
	fmt.Fprintf(c, "GET /1%s\r\nPOST /2%sContent-Length: 3\r\n\r\nabcGET /3%sHost: a.example\r\n\r\nGET /4%s\r\n", head, head, head, head)
	br := bufio.NewReader(c)
	var got []int
	for {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			break
		}
		_, _ = io.ReadAll(res.Body)
		got = append(got, res.StatusCode)
	}
	if diff := cmp.Diff([]int{200, 200, 400}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a.example/1", "a.example/2"}, seen.paths()); diff != "" {
		t.Error(diff)
	}
}

// A body whose framing breaks is a 400 and reaches nobody, and what hides
// behind it is nothing.
func TestBrokenChunks(t *testing.T) {
	w := newSearched(t, route("a.example", 80))
	seen := w.serve("80", false, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	head := "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
	hidden := "GET http://a.example/hidden HTTP/1.1\r\nHost: a.example\r\n\r\n"
	for _, body := range []string{"5;x\r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n", "zz\r\n", "3\r\nabcde\r\n0\r\n\r\n"} {
		res, text := w.raw(head + body + hidden)
		if res.StatusCode != 400 || !strings.Contains(errorOf(t, text), "framing") {
			t.Errorf("%q: %s %s", body, res.Status, text)
		}
	}
	if n := len(seen.paths()) + len(w.dialled) + len(w.asked); n != 0 {
		t.Errorf("upstream saw %v", seen.paths())
	}
}

// Headers that frameworks take for the request line do not get past a rule.
func TestOverridesAreDropped(t *testing.T) {
	r := route("a.example", 443)
	r.Matches = []egress.Match{{Methods: []string{"POST"}, Paths: []string{"/ok"}}}
	w := newWorld(t, r)
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	do(t, w.client(true), "POST", "https://a.example/ok", nil,
		"X-HTTP-Method-Override", "DELETE", "X-Original-URL", "/secret", "X_Rewrite_URL", "/secret", "X-Forwarded-Host", "b.example",
		"X_Forwarded_Host", "b.example", "X-Forwarded_User", "root", "X-Forwarded-Prefix", "/x", "Forwarded", "for=1.2.3.4")
	for name := range seen.last().Header {
		if strings.HasPrefix(name, "X") || name == "Forwarded" {
			t.Errorf("%s arrived", name)
		}
	}
}

func TestConnectionLimit(t *testing.T) {
	ca := upstreamCA()
	p, err := New(Options{CA: ca, MaxConns: 1, HeaderTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	open := func() net.Conn {
		a, b := net.Pipe()
		go p.ServeProxy(b)
		_ = a.SetDeadline(time.Now().Add(5 * time.Second))
		return a
	}
	first := open()
	for end := time.Now().Add(5 * time.Second); len(p.conns) == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	second := open()
	if res, err := http.ReadResponse(bufio.NewReader(second), nil); err != nil || res.StatusCode != 503 {
		t.Errorf("%v %v", res, err)
	}
	// The first said nothing: it is given up, and its place is free again.
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("a silent connection was answered")
	}
	third := open()
	fmt.Fprint(third, "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(third), nil); err != nil || res.StatusCode != 403 {
		t.Errorf("%v %v", res, err)
	}
}

// An upstream that quotes the credential in a broken answer does not get it
// into a denial.
func TestErrorsQuoteNothing(t *testing.T) {
	w := newWorld(t, authed("a.example", 80))
	w.serve("80", false, func(rw http.ResponseWriter, r *http.Request) {
		c, _, _ := http.NewResponseController(rw).Hijack()
		fmt.Fprintf(c, "HTTP/1.1 %s\r\n%s\r\n\r\n", r.Header.Get("Authorization"), r.Header.Get("Authorization"))
		_ = c.Close()
	})
	res, body := do(t, w.client(false), "GET", "http://a.example/", nil)
	if res.StatusCode != 502 || strings.Contains(body, secret) || strings.Contains(fmt.Sprint(w.entries), secret) {
		t.Errorf("%s %s", res.Status, body)
	}
}

// FuzzProxy throws bytes at the proxy and at the transparent port 80: an
// upstream sees no request that was not decided about, none that the only rule
// does not cover, and none whose body had not come to its end and been searched.
func FuzzProxy(f *testing.F) {
	ok := "GET http://a.example/ok HTTP/1.1\r\nHost: a.example\r\n\r\n"
	origin := "GET /ok HTTP/1.1\r\nHost: a.example\r\n\r\n"
	for _, s := range []string{
		origin, origin + ok, "POST /ok/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello" + origin,
		"GET /ok HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", "GET //a.example/ok HTTP/1.0\r\nHost: a.example:80\r\n\r\n",
		ok, ok + ok,
		"POST http://a.example/ok/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello" + ok,
		"POST http://a.example/ok HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + ok,
		"GET http://a.example/no HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + ok,
		"CONNECT a.example:80 HTTP/1.1\r\nHost: a.example\r\n\r\n" + ok,
		"POST http://a.example/ok HTTP/1.1\r\nHost: a.example\r\nContent-Length: 50\r\n\r\n" + secret + ok,
		"POST http://a.example/ok HTTP/1.1\r\nHost: a.example\r\nContent-Length: 25\r\n\r\nx" + secret + ok,
		"POST http://a.example/ok HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n9\r\n" + ok,
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	// What the upstream saw less what was decided about, by request, over all
	// inputs: a cut request may reach the upstream while the next input runs.
	var mu sync.Mutex
	over := map[string]int{}
	count := func(request string, n int) {
		mu.Lock()
		over[request] += n
		mu.Unlock()
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		// The length is that of the body that was read and logged: a request
		// that had left before would have none.
		count(fmt.Sprint(r.Method, " ", r.Host, " ", r.URL.EscapedPath(), " ", r.ContentLength), 1)
		body, _ := io.ReadAll(r.Body)
		if all := r.RequestURI + string(body) + fmt.Sprint(r.Header); strings.Contains(all, secret) {
			count("a secret "+r.Host+" /ok", 1<<20)
		}
	}))
	f.Cleanup(upstream.Close)
	w := &world{names: map[string][]string{}, servers: map[string]string{"80": upstream.Listener.Addr().String()}}
	// The clock runs fast, so that no oracle shuts the proxy.
	var ticks atomic.Int64
	clock := func() time.Time { return time.Unix(ticks.Add(3600), 0) }
	p, err := New(Options{CA: upstreamCA(), Resolver: w, Dial: w.dial, Inspector: newSmall, Now: clock, Log: func(e Entry) {
		if e.Rule != "" && e.Verdict != VerdictDenied {
			count(fmt.Sprint(e.Method, " ", e.Host, " ", e.Path, " ", e.Sent), -1)
		}
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = p.Close() })
	r := route("a.example", 80)
	r.Matches = []egress.Match{{Paths: []string{"/ok"}}}
	doc := document(r)
	doc.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: secret}
	policy, err := NewPolicy(doc)
	if err != nil {
		f.Fatal(err)
	}
	p.SetPolicy(policy)
	f.Fuzz(func(t *testing.T, input []byte, transparent bool) {
		a, b := net.Pipe()
		if transparent {
			go p.ServePlain(b)
		} else {
			go p.ServeProxy(b)
		}
		_ = a.SetDeadline(time.Now().Add(200 * time.Millisecond))
		go a.Write(input) //nolint:errcheck // the proxy may hang up
		_, _ = io.Copy(io.Discard, &untilQuiet{a})
		_ = a.Close()
		// A decision is logged when its request ends, which may be after the
		// connection has.
		for end := time.Now().Add(5 * time.Second); len(p.conns)+len(p.requests) > 0; {
			if time.Now().After(end) {
				t.Fatalf("still served: %q", input)
			}
			time.Sleep(100 * time.Microsecond)
		}
		mu.Lock()
		defer mu.Unlock()
		for request, n := range over {
			_, path, _ := strings.Cut(request, " a.example ")
			path, _, _ = strings.Cut(path, " ")
			if clean, err := egress.CanonicalPath(path); n > 0 && (err != nil || clean != "/ok" && !strings.HasPrefix(clean, "/ok/")) {
				t.Fatalf("upstream saw %q after %q", request, input)
			}
			if n > 0 {
				t.Fatalf("upstream saw %q %d times more often than it was allowed, after %q", request, n, input)
			}
		}
	})
}

// untilQuiet ends when nothing has come for a moment.
type untilQuiet struct{ net.Conn }

func (u *untilQuiet) Read(p []byte) (int, error) {
	_ = u.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	return u.Conn.Read(p)
}
