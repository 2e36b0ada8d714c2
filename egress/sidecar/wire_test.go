package sidecar

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// realProxy puts the intercepting proxy in place of the fake.
func realProxy(o *Options) { o.newProxy = openProxy }

func TestRealProxyDeniesAndLogs(t *testing.T) {
	r := start(t, realProxy)
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	conn := dialUnix(t, r.opts.DoorSocket)
	request := "GET http://denied.example/x HTTP/1.1\r\nHost: denied.example\r\n\r\n"
	if _, err := io.WriteString(conn, egress.Preface(egress.ServiceProxy)+request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), `"egress: `) {
		t.Errorf("%s %s, %v", resp.Status, body, err)
	}
	if line := r.lines(t, 1)[0]; !strings.Contains(line, `"instance":"bb-dev-0a1b2c","host":"denied.example"`) {
		t.Errorf("log %s", line)
	}
}

// A connection counts at the door for as long as it lives, also when the proxy
// has handed it on, and no longer.
func TestRealProxyKeepsAndReturnsItsPlaces(t *testing.T) {
	r := start(t, func(o *Options) {
		realProxy(o)
		o.MaxConns = 2
	})
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	request := egress.Preface(egress.ServiceProxy) + "GET http://denied.example/ HTTP/1.1\r\nHost: denied.example\r\n\r\n"
	ask := func() (bool, func()) {
		conn := dialUnix(t, r.opts.DoorSocket)
		_, _ = io.WriteString(conn, request)
		_, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return err == nil, func() { _ = conn.Close() }
	}
	var hangUp []func()
	for range 2 {
		ok, end := ask()
		if !ok {
			t.Fatal("no answer within the limit")
		}
		hangUp = append(hangUp, end)
	}
	if ok, _ := ask(); ok {
		t.Error("a third connection is served at a limit of two")
	}
	for _, end := range hangUp {
		end()
	}
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		if ok, _ := ask(); ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("places are not given back")
		}
	}
}

// The transparent ports are the same proxy behind the same door: they deny,
// log, count and give back.
func TestRealProxyOnTransparentPorts(t *testing.T) {
	r := start(t, func(o *Options) {
		realProxy(o)
		o.MaxConns = 1
	})
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	ask := func(service, input string) string {
		t.Helper()
		for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
			conn := dialUnix(t, r.opts.DoorSocket)
			_, _ = io.WriteString(conn, egress.Preface(service)+input)
			got, err := io.ReadAll(conn)
			if len(got) > 0 || time.Now().After(end) { // the place of the one before may not be free yet
				if err != nil {
					t.Logf("%s: %v", service, err)
				}
				return string(got)
			}
		}
	}
	plain := "GET / HTTP/1.1\r\nHost: denied.example\r\nConnection: close\r\n\r\n"
	if got := ask(egress.ServiceHTTP, plain); !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.Contains(got, "no route for denied.example:80") {
		t.Errorf("http: %q", got)
	}
	if got := ask(egress.ServiceTLS, plain); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "use https") {
		t.Errorf("tls: %q", got)
	}
	if log := strings.Join(r.lines(t, 2), "\n"); !strings.Contains(log, `"denied.example"`) || !strings.Contains(log, `"TLS"`) {
		t.Errorf("log %s", log)
	}
}
