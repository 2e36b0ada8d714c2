package sidecar

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// ended tells that the far end hung up without another byte.
func ended(t *testing.T, conn net.Conn) {
	t.Helper()
	n, err := conn.Read(make([]byte, 1))
	if ne, ok := errors.AsType[net.Error](err); n != 0 || err == nil || (ok && ne.Timeout()) {
		t.Errorf("read %d, %v; want an end", n, err)
	}
}

func TestProxyGetsTheWholeStream(t *testing.T) {
	r := start(t, nil)
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	conn := dialUnix(t, r.opts.DoorSocket)
	// In one write: what follows the preface belongs to the proxy.
	if _, err := io.WriteString(conn, egress.Preface(egress.ServiceProxy)+"CONNECT x\n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if diff := cmp.Diff("CONNECT x\n", string(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestRefusals(t *testing.T) {
	r := start(t, nil)
	for service, want := range map[string]string{
		egress.ServiceProxy: "egress: the sidecar of this bottle has no policy yet, so nothing may pass: run `bb apply` on the host",
		egress.ServiceHTTP:  "egress: the sidecar of this bottle has no policy yet, so nothing may pass: run `bb apply` on the host",
		egress.ServiceMCP:   "egress: the sidecar of this bottle has no policy yet, so nothing may pass: run `bb apply` on the host",
	} {
		conn := dialUnix(t, r.opts.DoorSocket)
		request := "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("x", 8<<10)
		if _, err := io.WriteString(conn, egress.Preface(service)+request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		got := []string{resp.Status, resp.Header.Get("Content-Type"), string(body)}
		if diff := cmp.Diff([]string{"403 Forbidden", "application/json", `{"error":"` + want + "\"}\n"}, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", service, err, diff)
		}
	}
}

// Each service has its own way in, and gets every byte behind the preface.
func TestServices(t *testing.T) {
	r := start(t, nil)
	ask := func(service string) string {
		conn := dialUnix(t, r.opts.DoorSocket)
		_, _ = io.WriteString(conn, egress.Preface(service)+"hello")
		_ = conn.CloseWrite()
		got, _ := io.ReadAll(conn)
		return string(got)
	}
	if got := ask(egress.ServiceTLS); got != "" {
		t.Errorf("without a policy port 443 says %q", got)
	}
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]string{
		egress.ServiceProxy: "hello", egress.ServiceTLS: "tls:hello", egress.ServiceHTTP: "plain:hello",
	} {
		if got := ask(service); got != want {
			t.Errorf("%s: %q, want %q", service, got, want)
		}
	}
}

// lookup asks the door for the address of a name; "" where it has none.
func lookup(t *testing.T, r *running, name string) string {
	t.Helper()
	conn := dialUnix(t, r.opts.DoorSocket)
	query := "\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	for label := range strings.SplitSeq(name, ".") {
		query += string(rune(len(label))) + label
	}
	query += "\x00\x00\x01\x00\x01"
	framed := string(binary.BigEndian.AppendUint16(nil, uint16(len(query)))) + query
	if _, err := io.WriteString(conn, egress.Preface(egress.ServiceDNS)+framed); err != nil {
		t.Fatal(err)
	}
	size := make([]byte, 2)
	if _, err := io.ReadFull(conn, size); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, binary.BigEndian.Uint16(size))
	if _, err := io.ReadFull(conn, reply); err != nil {
		t.Fatal(err)
	}
	if reply[7] == 0 {
		return ""
	}
	return net.IP(reply[len(reply)-4:]).String()
}

// Policy DNS follows the document in force.
func TestDNSThroughTheDoor(t *testing.T) {
	r := start(t, nil)
	names := func() []string {
		var out []string
		for _, name := range []string{"egress", "api.example.org", "x.api.example.org", "example.org", "api.example.com"} {
			out = append(out, lookup(t, r, name))
		}
		return out
	}
	if diff := cmp.Diff([]string{"127.0.0.1", "", "", "", ""}, names()); diff != "" {
		t.Errorf("before a policy (-want +got)\n%s", diff)
	}
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"127.0.0.1", "127.0.0.53", "", "", ""}, names()); diff != "" {
		t.Errorf("with a policy (-want +got)\n%s", diff)
	}
	wild := func(d *egress.Document) { d.Routes[0].Host = "*.example.org" }
	if _, err := r.ctl(t, CommandApply, document(wild)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"127.0.0.1", "127.0.0.53", "", "", ""}, names()); diff != "" {
		t.Errorf("with a wildcard (-want +got)\n%s", diff)
	}
}

func TestBadPrefacesAreHungUp(t *testing.T) {
	r := start(t, nil)
	for _, preface := range []string{
		"\n", "bb1\n", "bb1 \n", "bb1 tls\n", "bb1 control\n", "bb1 apply\n", "bb1 supervise\n", "bb1 get\n", "bb1 log\n", "bb1 agent\n", "bb1 PROXY\n", "bb1 proxy\r\n", "bb1 proxy \n",
		"bb2 proxy\n", " bb1 proxy\n", "GET / HTTP/1.1\r\n\r\n", "bb1 proxy\x00\n", "bb1 " + strings.Repeat("x", 200),
	} {
		t.Run(preface, func(t *testing.T) {
			conn := dialUnix(t, r.opts.DoorSocket)
			_, _ = io.WriteString(conn, preface)
			ended(t, conn)
		})
	}
}

func TestSlowPrefaceIsCutOff(t *testing.T) {
	near, far := pair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		(&dispatch{timeout: 100 * time.Millisecond}).serve(far)
	}()
	// A byte now and then does not extend the time.
	for range 6 {
		_, _ = near.Write([]byte("b"))
		time.Sleep(30 * time.Millisecond)
	}
	ended(t, near)
	<-done
}

func pair(t *testing.T) (near, far *net.UnixConn) {
	t.Helper()
	ln, err := listen(sockets(t).DoorSocket, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near = dialUnix(t, ln.Addr().String())
	far, err = ln.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

func TestFloodIsBoundedAndOthersLive(t *testing.T) {
	r := start(t, func(o *Options) { o.MaxConns = 16 })
	var most, now atomic.Int32
	r.proxy.serve = func(conn *net.UnixConn) {
		defer now.Add(-1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		_, _ = io.Copy(conn, conn)
	}
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	var flood []net.Conn
	for range 200 {
		conn := dialUnix(t, r.opts.DoorSocket)
		_, _ = io.WriteString(conn, egress.Preface(egress.ServiceProxy))
		flood = append(flood, conn)
	}
	// The host can still speak while the door is full.
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Errorf("control during a flood: %v", err)
	}
	if most.Load() > 16 {
		t.Errorf("%d connections served at once", most.Load())
	}
	for _, conn := range flood {
		conn.Close()
	}
	var got string
	for end := time.Now().Add(deadline); got != "x" && time.Now().Before(end); {
		conn := dialUnix(t, r.opts.DoorSocket)
		_, _ = io.WriteString(conn, egress.Preface(egress.ServiceProxy)+"x")
		buf := make([]byte, 1)
		if _, err := io.ReadFull(conn, buf); err == nil {
			got = string(buf)
		}
	}
	if got != "x" {
		t.Error("the door stays shut after the flood")
	}
}

func TestPanicEndsOneConnection(t *testing.T) {
	r := start(t, nil)
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	r.proxy.serve = func(conn *net.UnixConn) {
		buf := make([]byte, 64)
		n, _ := conn.Read(buf)
		panic(string(buf[:n]))
	}
	for range 2 {
		conn := dialUnix(t, r.opts.DoorSocket)
		_, _ = io.WriteString(conn, egress.Preface(egress.ServiceProxy)+secretValue)
		ended(t, conn)
	}
	got := r.stderr.String()
	if strings.Contains(got, "secret") || strings.Count(got, "\n") != 2 || !strings.Contains(got, "door: panic in a connection at dispatch_test.go:") {
		t.Errorf("stderr %q", got)
	}
}
