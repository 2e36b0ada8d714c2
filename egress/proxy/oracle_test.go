package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// What is covered, and not denied, is an answer too: an upstream may repeat it.
func TestOracleOfCovers(t *testing.T) {
	r := route("a.example", 80)
	r.DLP = &egress.DLP{OnMatch: egress.OnMatchRedact}
	w := newSearched(t, r)
	seen := w.serve("80", false, func(rw http.ResponseWriter, r *http.Request) { _, _ = io.Copy(rw, r.Body) })
	for i := range 8 {
		body := fmt.Sprint("guess ", i)
		if i%2 == 0 {
			body = secret
		}
		do(t, w.client(false), "POST", "http://a.example/?"+lookalike, strings.NewReader(body))
	}
	do(t, w.client(false), "POST", "http://a.example/?q="+secret, strings.NewReader("x"))
	if res, text := do(t, w.client(false), "GET", "http://a.example/", nil); res.StatusCode != 429 || len(seen.paths()) != 8 {
		t.Errorf("%s %s, %d requests arrived", res.Status, text, len(seen.paths()))
	}
}

// Requests that were let in before the pause ask nothing during it.
func TestOracleAtOnce(t *testing.T) {
	w := newSearched(t, route("a.example", 80), streaming("b.example", 80))
	w.serve("80", false, counting)
	open := func(host, head string) net.Conn {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", host, host, head)
		return c
	}
	whole := open("a.example", "Content-Length: 5\r\nExpect: 100-continue")
	streamed := open("b.example", "Transfer-Encoding: chunked\r\nExpect: 100-continue")
	for _, c := range []net.Conn{whole, streamed} { // both are past the first look
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
			t.Fatal(err)
		}
	}
	for range oracleHits {
		do(t, w.client(false), "GET", "http://a.example/?q="+secret, nil)
	}
	fmt.Fprint(whole, "guess")
	fmt.Fprint(streamed, "5\r\nguess\r\n0\r\n\r\n")
	for name, c := range map[string]net.Conn{"whole": whole, "streamed": streamed} {
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != 429 {
			t.Errorf("%s: %v %v", name, res, err)
		}
	}
}

// A WebSocket asks nothing during a pause either, and what is covered in it
// counts.
func TestOracleOfSockets(t *testing.T) {
	for _, value := range []string{secret, "guess"} {
		w := newSearched(t, searchedSocketRoute(&egress.DLP{OnMatch: egress.OnMatchRedact}))
		got := make(chan string, 100)
		w.serve("443", true, repeats(got))
		br, c, res := w.upgrade(extended)
		if res.StatusCode != 101 {
			t.Fatal(res.Status)
		}
		for range oracleHits - 1 {
			_, _ = io.WriteString(c, agentFrame(1, true, secret))
			if g := <-got; g != "1 true "+strings.Repeat("*", len(secret)) {
				t.Fatal(g)
			}
			if _, _, _, err := unframe(br); err != nil {
				t.Fatal(err)
			}
		}
		w.proxy.oracle.hit(time.Now())
		_, _ = io.WriteString(c, agentFrame(1, true, value))
		if code := lastWords(br); code != closeLater {
			t.Errorf("close code %d", code)
		}
		if g := <-got; g != "end" {
			t.Errorf("the upstream got %q", g)
		}
	}
}
