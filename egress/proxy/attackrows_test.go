package proxy

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// Attack A1: a name that is not listed is asked of nobody, whichever part of
// the proxy it comes to: the decision, the local pages, the text of a denial.
func TestDeniedNamesAreNotResolved(t *testing.T) {
	w := newWorld(t, route("a.example", 443), route("a.example", 80), route("*.wild.example", 443))
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	const name = "c2VjcmV0.evil.example"
	for _, input := range []string{
		"CONNECT " + name + ":443 HTTP/1.1\r\nHost: " + name + ":443\r\n\r\n",
		"CONNECT c2VjcmV0.a.example:443 HTTP/1.1\r\nHost: c2VjcmV0.a.example:443\r\n\r\n",
		"CONNECT c2Vj.cmV0.wild.example:443 HTTP/1.1\r\nHost: c2Vj.cmV0.wild.example:443\r\n\r\n",
		"GET http://" + name + "/ HTTP/1.1\r\nHost: " + name + "\r\n\r\n",
		"GET http://_egress.local/explain?url=https://" + name + "/ HTTP/1.1\r\nHost: _egress.local\r\n\r\n",
		"GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\nReferer: http://" + name + "/\r\n\r\n",
		"GET http://a.example/ HTTP/1.1\r\nHost: " + name + "\r\n\r\n",
	} {
		w.raw(input)
	}
	if _, err := w.tunnel("a.example:443", name); err == nil {
		t.Error("a tunnel with another name in its hello was served")
	}
	c, err := w.tunnel("a.example:443", "a.example")
	if err != nil {
		t.Fatal(err)
	}
	if res, body := over(t, c, bufio.NewReader(c), "GET / HTTP/1.1\r\nHost: "+name+"\r\n\r\n"); res.StatusCode != 403 {
		t.Errorf("%s %s", res.Status, body)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked)+len(w.dialled) > 0 || len(seen.paths()) > 0 {
		t.Errorf("asked for %v, dialled %v, upstream saw %v", w.asked, w.dialled, seen.paths())
	}
}

// turncoat answers with a public address first and a private one ever after.
type turncoat struct{ asked int }

func (r *turncoat) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if r.asked++; r.asked == 1 {
		return []netip.Addr{netip.MustParseAddr(outside)}, nil
	}
	return []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("10.0.0.1")}, nil
}

// Attack A5: a name that changes its mind after it was checked gains nothing:
// the address that is dialled is the one that was checked, and every further
// connection is checked again.
func TestRebinding(t *testing.T) {
	w := newWorld(t, route("a.example", 443))
	seen := w.serve("443", true, func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Connection", "close") })
	names := &turncoat{}
	w.proxy.o.Resolver = names
	w.policy(route("a.example", 443)) // its upstreams take the resolver
	for i, want := range []int{200, 403, 403} {
		c := w.client(false)
		if i > 0 { // a connection of its own, also behind the proxy
			w.policy(route("a.example", 443))
		}
		if res, body := do(t, c, "GET", "https://a.example/", nil); res.StatusCode != want {
			t.Errorf("request %d: %s %s", i, res.Status, body)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if want := []string{outside + ":443"}; !slices.Equal(w.dialled, want) || names.asked != 3 || len(seen.paths()) != 1 {
		t.Errorf("dialled %v, asked %d times, upstream saw %v", w.dialled, names.asked, seen.paths())
	}
}

// Attack B3: names that share an address do not share a route.
func TestFronting(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		limited := authed("b.example", 443)
		w := newWorld(t, route("a.example", 443), limited)
		seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
		for _, host := range []string{"b.example", "neighbour.example", "a.example.evil.example"} {
			req, err := http.NewRequest("GET", "https://a.example/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			res, err := w.client(h2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _ = res.Body.Close(); res.StatusCode != 403 {
				t.Errorf("%s behind a.example: %s", host, res.Status)
			}
		}
		if len(seen.paths()) > 0 {
			t.Errorf("upstream saw %v", seen.paths())
		}
	})
}

// Attack B7: a name that is encrypted for somebody else is not accepted, and
// what the client believes to be hidden does not get through.
func TestEncryptedClientHello(t *testing.T) {
	w := newWorld(t, route("a.example", 443))
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// ECHConfig of RFC 9849 for the public name a.example.
	contents := append([]byte{1, 0, 0x20, 0, 32}, key.PublicKey().Bytes()...)
	contents = append(contents, 0, 4, 0, 1, 0, 1, 0, byte(len("a.example")))
	contents = append(append(contents, "a.example"...), 0, 0)
	config := append(binary.BigEndian.AppendUint16([]byte{0xfe, 0x0d}, uint16(len(contents))), contents...)
	c := w.connected("a.example:443")
	client := tls.Client(c, &tls.Config{
		RootCAs: w.roots, ServerName: "hidden.example", MinVersion: tls.VersionTLS13,
		EncryptedClientHelloConfigList: append(binary.BigEndian.AppendUint16(nil, uint16(len(config))), config...),
	})
	err = client.Handshake()
	if rejected := new(tls.ECHRejectionError); !errors.As(err, &rejected) {
		t.Errorf("the handshake: %v", err)
	}
	if len(seen.paths())+len(w.asked) > 0 {
		t.Errorf("upstream saw %v, asked for %v", seen.paths(), w.asked)
	}
}

// Attack E10: what is refused stays refused while every place is taken, and
// one that is free again is used.
func TestFullHouse(t *testing.T) {
	w := newWorld(t, route("a.example", 80))
	seen := w.serve("80", false, func(http.ResponseWriter, *http.Request) {})
	places := cap(w.proxy.conns)
	for range places {
		w.proxy.conns <- struct{}{}
	}
	for _, host := range []string{"a.example", "evil.example"} {
		res, body := w.raw("GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if res.StatusCode != 503 || !strings.HasPrefix(errorOf(t, body), "egress: ") {
			t.Errorf("%s in a full house: %s %s", host, res.Status, body)
		}
	}
	if len(seen.paths())+len(w.asked) > 0 {
		t.Errorf("upstream saw %v, asked for %v", seen.paths(), w.asked)
	}
	<-w.proxy.conns
	if res, body := w.raw("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("one place is free: %s %s", res.Status, body)
	}
}

// half sends a beginning and keeps the connection, once the proxy has it.
func (w *world) half(input string) net.Conn {
	w.t.Helper()
	before := len(w.proxy.conns)
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, input); err != nil {
		w.t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); len(w.proxy.conns) == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal("the proxy does not take the connection")
		}
	}
	return c
}

// connected is a tunnel without TLS in it yet.
func (w *world) connected(target string) net.Conn {
	w.t.Helper()
	c := w.half("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, len(established))); err != nil {
		w.t.Fatal(err)
	}
	return c
}
