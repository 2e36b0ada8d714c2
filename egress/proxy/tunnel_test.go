package proxy

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

func tunnelled(host string, port int) egress.Route {
	r := route(host, port)
	r.Tunnel = true
	return r
}

// upstreamRoots trust the test's outside: a client that sees its certificate
// speaks to it, and not to the proxy.
func upstreamRoots() *x509.CertPool { return poolOf(upstreamCA()) }

// entries into a tunnel: by CONNECT, or at port 443.
var entriesOf = map[string]func(w *world, host string) (net.Conn, error){
	"CONNECT": func(w *world, host string) (net.Conn, error) {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			return nil, err
		}
		w.t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", host, host)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(res.Body)
			return nil, fmt.Errorf("%s %s", res.Status, body)
		}
		return c, nil
	},
	"443": func(w *world, _ string) (net.Conn, error) { return w.port(443), nil },
}

func eachEntry(t *testing.T, f func(t *testing.T, open func(w *world, host string) (net.Conn, error))) {
	for name, open := range entriesOf {
		t.Run(name, func(t *testing.T) { f(t, open) })
	}
}

func TestTunnel(t *testing.T) {
	eachEntry(t, func(t *testing.T, open func(*world, string) (net.Conn, error)) {
		w := newWorld(t, tunnelled("a.example", 443))
		seen := w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprint(rw, len(body), r.Header.Get("Authorization"))
		})
		c, err := open(w, "a.example")
		if err != nil {
			t.Fatal(err)
		}
		tc := tls.Client(c, &tls.Config{RootCAs: upstreamRoots(), ServerName: "a.example"})
		br := bufio.NewReader(tc)
		// Not looked into: the agent's own login, a Host of its own, a push.
		input := "POST /r.git/git-receive-pack HTTP/1.1\r\nHost: other.example\r\nAuthorization: mine\r\nContent-Length: 100000\r\n\r\n" +
			strings.Repeat("x", 100000)
		if res, body := over(t, tc, br, input); res.StatusCode != 200 || body != "100000mine" {
			t.Errorf("%s %q", res.Status, body)
		}
		_ = tc.Close()
		e := w.entry(1)
		if e.Verdict != VerdictAllowed || e.Reason != "not inspected" || e.Sent < 100000 || e.Received < 500 || e.Host != "a.example" || e.Rule != "bottle dev.md:7" {
			t.Errorf("%+v", e)
		}
		if diff := cmp.Diff([]string{"other.example/r.git/git-receive-pack"}, seen.paths()); diff != "" {
			t.Error(diff)
		}
	})
}

// tap is an outside that shows the bytes of one connection as they came.
type tap struct {
	ln  net.Listener
	got chan []byte
}

// tapped listens at port 443 of the outside: it reads n bytes, writes answer,
// and then reads to the end.
func (w *world) tapped(n int, answer []byte) *tap {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = ln.Close() })
	p := &tap{ln, make(chan []byte, 1)}
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		first := make([]byte, n)
		_, _ = io.ReadFull(c, first)
		_, _ = c.Write(answer)
		rest, _ := io.ReadAll(c)
		_, _ = c.Write([]byte("after"))
		p.got <- append(first, rest...)
	}()
	w.mu.Lock()
	w.servers["443"] = ln.Addr().String()
	w.mu.Unlock()
	return p
}

// Bytes pass as they are, both ways, and an end passes as an end of that
// direction only.
func TestTunnelTouchesNothing(t *testing.T) {
	eachEntry(t, func(t *testing.T, open func(*world, string) (net.Conn, error)) {
		w := newWorld(t, tunnelled("a.example", 443))
		hello := clientHello(t, &tls.Config{ServerName: "a.example"})
		junk := make([]byte, 300_000)
		_, _ = rand.Read(junk)
		answer := make([]byte, 200_000)
		_, _ = rand.Read(answer)
		p := w.tapped(len(hello), answer)
		c, err := open(w, "a.example")
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range [][]byte{hello[:3], hello[3:50], hello[50:], junk[:1]} { // however it arrives
			_, _ = c.Write(piece)
			time.Sleep(5 * time.Millisecond)
		}
		go func() {
			_, _ = c.Write(junk[1:])
			_ = closeWrite(c)
		}()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, append(answer, "after"...)) {
			t.Errorf("the client got %d bytes, %v", len(got), err)
		}
		if out := <-p.got; !bytes.Equal(out, append(hello, junk...)) {
			t.Errorf("the upstream got %d bytes of %d", len(out), len(hello)+len(junk))
		}
		if e := w.entry(1); e.Sent != int64(len(hello)+len(junk)) || e.Received != int64(len(answer)+5) {
			t.Errorf("%+v", e)
		}
	})
}

// A client that does not wait for the 200 loses nothing.
func TestTunnelInOneWrite(t *testing.T) {
	w := newWorld(t, tunnelled("a.example", 443))
	first := append(clientHello(t, &tls.Config{ServerName: "a.example"}), bytes.Repeat([]byte("x"), 10_000)...)
	p := w.tapped(len(first), []byte("answer"))
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = c.Write(append([]byte("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"), first...))
	_ = closeWrite(c)
	got, err := io.ReadAll(c)
	if err != nil || string(got) != established+"answerafter" {
		t.Errorf("%q %v", got, err)
	}
	if out := <-p.got; !bytes.Equal(out, first) {
		t.Errorf("the upstream got %d bytes of %d", len(out), len(first))
	}
}

// What cannot be reached is a failure, and not a denial, in the log too.
func TestTunnelToNobody(t *testing.T) {
	w := newWorld(t, tunnelled("a.example", 443))
	if _, err := entriesOf["CONNECT"](w, "a.example"); err == nil || !strings.Contains(err.Error(), "502") {
		t.Error(err)
	}
	err := tls.Client(w.port(443), &tls.Config{ServerName: "a.example"}).Handshake()
	if err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Error(err)
	}
	for _, n := range []int{1, 2} {
		if e := w.entry(n); e.Verdict != VerdictFailed || e.Status != 502 || e.Rule == "" {
			t.Errorf("%+v", e)
		}
	}
}

// A client that never says what it wants is given up.
func TestTunnelSlowHello(t *testing.T) {
	w := newWorldWith(t, Options{HeaderTimeout: 300 * time.Millisecond}, tunnelled("a.example", 443))
	w.tapped(1, nil)
	for _, open := range entriesOf {
		c, err := open(w, "a.example")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _ = c.Write([]byte{22, 3, 1})
		if _, err := io.ReadAll(c); err != nil || time.Since(start) > 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	}
}

// Attacks A5, E3, E4 in tunnels; a client of CONNECT can read why.
func TestTunnelAddresses(t *testing.T) {
	listed := tunnelled("listed.example", 443)
	listed.SSRFIPAllowlist = []string{"10.0.0.0/8", "127.0.0.0/8"}
	for _, tt := range []struct {
		host, addr string
		ok         bool
	}{
		{"a.example", outside, true},
		{"a.example", "169.254.169.254", false},
		{"a.example", "127.0.0.1", false},
		{"a.example", "10.0.0.1", false},
		{"a.example", "::ffff:127.0.0.1", false},
		{"listed.example", "10.0.0.1", true},
		{"listed.example", "127.0.0.1", false},
	} {
		eachEntry(t, func(t *testing.T, open func(*world, string) (net.Conn, error)) {
			w := newWorld(t, tunnelled("a.example", 443), listed)
			w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
			w.names = map[string][]string{tt.host: {tt.addr}}
			c, err := open(w, tt.host)
			if err == nil {
				err = tls.Client(c, &tls.Config{RootCAs: upstreamRoots(), ServerName: tt.host}).Handshake()
			} else if !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), "egress: ") {
				t.Errorf("%v", err)
			}
			if (err == nil) != tt.ok || !tt.ok && len(w.dialled) != 0 {
				t.Errorf("%+v: %v, dialled %v", tt, err, w.dialled)
			}
		})
	}
	w := newWorld(t, tunnelled("169.254.169.254", 443), tunnelled("127.0.0.1", 443), tunnelled("10.0.0.1", 443))
	for _, host := range []string{"169.254.169.254", "127.0.0.1", "10.0.0.1"} {
		if _, err := entriesOf["CONNECT"](w, host); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if len(w.dialled) != 0 {
		t.Errorf("dialled %v", w.dialled)
	}
}

// Attack B8: a tunnel ends with what allowed it, and with nothing else.
func TestTunnelIsCut(t *testing.T) {
	listed := tunnelled("a.example", 443)
	listed.SSRFIPAllowlist = []string{"10.0.0.0/8"}
	limited := route("a.example", 443)
	limited.Matches = []egress.Match{{Paths: []string{"/x"}}}
	over := tunnelled("a.example", 443)
	over.Expires = time.Now().Add(-time.Hour)
	for name, tt := range map[string]struct {
		next []egress.Route
		cut  bool
	}{
		"gone":      {nil, true},
		"inspected": {[]egress.Route{route("a.example", 443)}, true},
		"limited":   {[]egress.Route{limited}, true},
		"expired":   {[]egress.Route{over}, true},
		"floor":     {[]egress.Route{tunnelled("a.example", 443)}, true},
		"same":      {[]egress.Route{listed, route("b.example", 443)}, false},
		"wider":     {[]egress.Route{tunnelledWith("a.example", "10.0.0.0/8", "172.16.0.0/12")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			eachEntry(t, func(t *testing.T, open func(*world, string) (net.Conn, error)) {
				w := newWorld(t, listed)
				hello := clientHello(t, &tls.Config{ServerName: "a.example"})
				w.tapped(len(hello), []byte("hello"))
				c, err := open(w, "a.example")
				if err != nil {
					t.Fatal(err)
				}
				_, _ = c.Write(hello)
				if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
				w.policy(tt.next...)
				wait := 5 * time.Second
				if !tt.cut {
					wait = 200 * time.Millisecond
				}
				_ = c.SetReadDeadline(time.Now().Add(wait))
				_, err = c.Read(make([]byte, 1))
				if alive := errors.Is(err, os.ErrDeadlineExceeded); alive == tt.cut {
					t.Fatalf("%v", err)
				}
				if !tt.cut {
					return
				}
				if e := w.entry(1); e.Verdict != VerdictCut {
					t.Errorf("%+v", e)
				}
			})
		})
	}
}

func tunnelledWith(host string, allow ...string) egress.Route {
	r := tunnelled(host, 443)
	r.SSRFIPAllowlist = allow
	return r
}

func TestTunnelExpiresAndIdles(t *testing.T) {
	for name, set := range map[string]func(*world){
		"expires": func(w *world) {
			r := tunnelled("a.example", 443)
			r.Expires = time.Now().Add(300 * time.Millisecond)
			w.policy(r)
		},
		"idles": func(w *world) {
			w.policy(tunnelled("a.example", 443))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, Options{TunnelTimeout: 600 * time.Millisecond})
			set(w)
			hello := clientHello(t, &tls.Config{ServerName: "a.example"})
			w.tapped(len(hello), []byte("hello"))
			c := w.port(443)
			_, _ = c.Write(hello)
			start := time.Now()
			got, _ := io.ReadAll(c)
			if string(got) != "hello" || time.Since(start) > 5*time.Second {
				t.Errorf("%q after %v", got, time.Since(start))
			}
			e := w.entry(1)
			if e.Reason != map[string]string{"expires": errCut.Error(), "idles": errIdle.Error()}[name] {
				t.Errorf("%+v", e)
			}
		})
	}
}

// Close ends tunnels, and gives every place back.
func TestTunnelsEndWithTheProxy(t *testing.T) {
	w := newWorld(t, tunnelled("a.example", 443))
	hello := clientHello(t, &tls.Config{ServerName: "a.example"})
	w.tapped(len(hello), []byte("hello"))
	var ended sync.WaitGroup
	c := w.port(443)
	_, _ = c.Write(hello)
	_, _ = io.ReadFull(c, make([]byte, 5))
	ended.Go(func() { _, _ = io.ReadAll(c) })
	_ = w.proxy.Close()
	ended.Wait()
	for end := time.Now().Add(5 * time.Second); len(w.proxy.conns) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("places are not given back")
		}
	}
}

// Plain http has no tunnel.
func TestTunnelIsForTLS(t *testing.T) {
	w := newWorld(t, tunnelled("a.example", 80))
	seen := w.serve("80", false, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []*http.Client{w.client(false), w.unaware(false)} {
		res, body := do(t, c, "GET", "http://a.example/", nil)
		if res.StatusCode != 403 || !strings.Contains(errorOf(t, body), "TLS only") {
			t.Errorf("%s %s", res.Status, body)
		}
	}
	if len(seen.paths()) != 0 {
		t.Errorf("upstream saw %v", seen.paths())
	}
}
