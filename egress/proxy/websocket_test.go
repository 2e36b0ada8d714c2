package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

const wsHead = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, X-Secret, Authorization\r\nUpgrade: websocket\r\n" +
	"X-Secret: 1\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"

// echo is an upstream that switches protocols and sends back what it gets.
func echo(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("X-Saw", r.Header.Get("Authorization"))
	rw.Header().Set("Upgrade", "websocket")
	rw.Header().Set("Connection", "Upgrade")
	rw.WriteHeader(http.StatusSwitchingProtocols)
	c, brw, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.Copy(c, brw)
}

func socket(host string) egress.Route {
	r := authed(host, 443)
	r.WebSocket = true
	return r
}

func (w *world) upgrade(head string) (*bufio.Reader, io.Writer, *http.Response) {
	w.t.Helper()
	c, err := w.tunnel("a.example:443", "a.example", "http/1.1")
	if err != nil {
		w.t.Fatal(err)
	}
	br := bufio.NewReader(c)
	if _, err := io.WriteString(c, head); err != nil {
		w.t.Fatal(err)
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return br, c, res
}

func TestWebSocket(t *testing.T) {
	w := newWorld(t, socket("a.example"))
	seen := w.serve("443", true, echo)
	br, c, res := w.upgrade(wsHead)
	if res.StatusCode != 101 || res.Header.Get("X-Saw") != "Bearer [redacted]" {
		t.Fatalf("%s %v", res.Status, res.Header)
	}
	if diff := cmp.Diff([]string{"Upgrade"}, res.Header["Connection"]); diff != "" {
		t.Error(diff)
	}
	h := seen.last().Header // attack C4
	if h.Get("X-Secret") != "" || h.Get("Authorization") != "Bearer "+secret || h.Get("Connection") != "Upgrade" {
		t.Errorf("upstream got %v", h)
	}
	for i := range 3 {
		fmt.Fprintf(c, "ping %d\n", i)
		if line, err := br.ReadString('\n'); err != nil || line != fmt.Sprintf("ping %d\n", i) {
			t.Fatalf("%q %v", line, err)
		}
	}
	// A change that leaves the route leaves the socket.
	w.policy(socket("a.example"), route("b.example", 443))
	fmt.Fprint(c, "still\n")
	if line, err := br.ReadString('\n'); err != nil || line != "still\n" {
		t.Fatalf("%q %v", line, err)
	}
	noSocket := authed("a.example", 443)
	w.policy(noSocket)
	if _, err := br.ReadString('\n'); err == nil {
		t.Error("the socket survived its route")
	}
}

func TestWebSocketNeedsPermission(t *testing.T) {
	w := newWorld(t, authed("a.example", 443))
	seen := w.serve("443", true, echo)
	br, _, res := w.upgrade(wsHead + "\x81\x05hello")
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 403 || !strings.Contains(string(body), "websocket: true") || !res.Close {
		t.Errorf("%s %s", res.Status, body)
	}
	if rest, _ := io.ReadAll(br); len(rest) != 0 || len(seen.paths()) != 0 {
		t.Errorf("after the 403: %q, upstream saw %v", rest, seen.paths())
	}
}

func TestWebSocketExpires(t *testing.T) {
	r := socket("a.example")
	r.Expires = time.Now().Add(300 * time.Millisecond)
	w := newWorld(t, r)
	w.serve("443", true, echo)
	br, _, res := w.upgrade(wsHead)
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	start := time.Now()
	if _, err := br.ReadByte(); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// What several approvals allow, or the manifest beside them, goes on when the
// first ends, and ends with the last; also where a later policy says until when.
func TestFlightOutlivesAnApproval(t *testing.T) {
	until := func(d time.Duration) egress.Route {
		r := socket("a.example")
		r.Expires, r.Approved = time.Now().Add(d), []string{"p"}
		return r
	}
	alive := func(br *bufio.Reader, c io.Writer) bool {
		fmt.Fprint(c, "ping 1\n")
		line, err := br.ReadString('\n')
		return err == nil && line == "ping 1\n"
	}
	for name, routes := range map[string]func() []egress.Route{
		"another approval": func() []egress.Route {
			return []egress.Route{until(2 * time.Second), until(300 * time.Millisecond)}
		},
		"the manifest": func() []egress.Route {
			return []egress.Route{socket("a.example"), until(300 * time.Millisecond)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, routes()...)
			w.serve("443", true, echo)
			br, c, res := w.upgrade(wsHead)
			if res.StatusCode != 101 {
				t.Fatal(res.Status)
			}
			time.Sleep(800 * time.Millisecond)
			if !alive(br, c) {
				t.Fatal("it was cut when the first of two ended")
			}
			w.policy(until(300 * time.Millisecond))
			start := time.Now()
			if _, err := br.ReadByte(); err == nil || time.Since(start) > 1500*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	}
}

// A protocol switch that nobody asked for is not passed on.
func TestUnaskedSwitch(t *testing.T) {
	w := newWorld(t, route("a.example", 80))
	w.serve("80", false, func(rw http.ResponseWriter, _ *http.Request) {
		c, _, _ := http.NewResponseController(rw).Hijack()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
		_ = c.Close()
	})
	for _, extra := range []string{"", "Connection: upgrade\r\nUpgrade: foo\r\n"} {
		res, body := w.raw("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n" + extra + "\r\n")
		if res.StatusCode != 502 || !strings.HasPrefix(errorOf(t, body), "egress: ") {
			t.Errorf("%s %s", res.Status, body)
		}
	}
}
