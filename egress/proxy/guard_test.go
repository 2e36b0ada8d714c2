package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scripted is a connection that hands out fixed bytes, step of them at a time.
type scripted struct {
	net.Conn
	in   *bytes.Reader
	step int
}

func (s *scripted) Read(p []byte) (int, error) {
	if s.step > 0 && len(p) > s.step {
		p = p[:s.step]
	}
	return s.in.Read(p)
}

func (s *scripted) SetReadDeadline(time.Time) error { return nil }

type seenRequest struct{ Method, Target, Host, Body string }

// throughGuard returns what the guard let through, the heads that it saw, and
// why it stopped.
func throughGuard(input []byte, w way, step int) ([]byte, []head, error) {
	out, heads, _, err := guarded(input, w, step)
	return out, heads, err
}

// guarded also says whether the last request is all there.
func guarded(input []byte, w way, step int) ([]byte, []head, bool, error) {
	var heads []head
	g := newGuard(&scripted{in: bytes.NewReader(input), step: step}, w)
	g.onHead = func(h head) { heads = append(heads, h) }
	out, err := io.ReadAll(g)
	if g.reason() != nil {
		err = g.reason()
		out = bytes.TrimSuffix(out, refusedHead)
	}
	return out, heads, g.state != atBody && g.state != atChunk && !g.misframed(), err
}

// asNetHTTP parses what came through as net/http's server would.
func asNetHTTP(data []byte) ([]seenRequest, error) {
	var seen []seenRequest
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		if _, err := r.Peek(1); err != nil {
			return seen, nil
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			return seen, err
		}
		body, err := io.ReadAll(req.Body)
		seen = append(seen, seenRequest{req.Method, req.RequestURI, req.Host, string(body)})
		if err != nil {
			return seen, err
		}
		if req.Method == "CONNECT" || req.Header.Get("Upgrade") != "" {
			return seen, nil
		}
	}
}

func TestGuardRefuses(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: a.example\r\n"
	const post = "POST / HTTP/1.1\r\nHost: a.example\r\n"
	tests := map[string]struct{ input, want string }{
		"CL and TE":          {post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content-Length together"},
		"TE and CL":          {post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "Content-Length together"},
		"two CL":             {post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "repeated Content-Length"},
		"CL list":            {post + "Content-Length: 5, 5\r\n\r\nhello", "bad Content-Length"},
		"CL sign":            {post + "Content-Length: +5\r\n\r\nhello", "bad Content-Length"},
		"CL huge":            {post + "Content-Length: 99999999999999999999\r\n\r\n", "bad Content-Length"},
		"CL empty":           {post + "Content-Length:\r\n\r\n", "bad Content-Length"},
		"bare LF":            {"GET / HTTP/1.1\nHost: a.example\n\n", "bare LF"},
		"bare LF in header":  {get + "X: a\nY: b\r\n\r\n", "bare LF"},
		"bare CR":            {get + "X: a\rY: b\r\n\r\n", "bare CR"},
		"obs-fold":           {get + "X: a\r\n b\r\n\r\n", "bad header line"},
		"fold before":        {"GET / HTTP/1.1\r\n Host: a.example\r\n\r\n", "bad header line"},
		"space before colon": {get + "Content-Length : 5\r\n\r\nhello", "bad header line"},
		"no colon":           {get + "X\r\n\r\n", "bad header line"},
		"NUL":                {get + "X: a\x00b\r\n\r\n", "control byte"},
		"DEL":                {get + "X: a\x7fb\r\n\r\n", "control byte"},
		"bad method":         {"G(T / HTTP/1.1\r\nHost: a.example\r\n\r\n", "bad method"},
		"own method":         {methodRefused + " / HTTP/1.1\r\nHost: a.example\r\n\r\n", "bad method"},
		"two spaces":         {"GET  / HTTP/1.1\r\nHost: a.example\r\n\r\n", "bad request line"},
		"third word":         {"GET / x HTTP/1.1\r\nHost: a.example\r\n\r\n", "bad request line"},
		"tab":                {"GET\t/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "bad request line"},
		"version 0.9":        {"GET /\r\n\r\n", "bad request line"},
		"version 1.2":        {"GET / HTTP/1.2\r\nHost: a.example\r\n\r\n", "HTTP version"},
		"lower version":      {"GET / http/1.1\r\nHost: a.example\r\n\r\n", "HTTP version"},
		"prior knowledge":    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP version"},
		"h2c":                {get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", "cleartext HTTP/2"},
		"h2c in a list":      {get + "Upgrade: websocket, h2c\r\n\r\n", "cleartext HTTP/2"},
		"upgrade body":       {post + "Upgrade: websocket\r\nContent-Length: 1\r\n\r\nx", "upgrade with a body"},
		"TE gzip":            {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "other than chunked"},
		"TE twice":           {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "other than chunked"},
		"TE identity":        {post + "Transfer-Encoding: identity\r\n\r\n", "other than chunked"},
		"TE with Kelvin":     {post + "Transfer-Encoding: chun\u212aed\r\n\r\n0\r\n\r\n", "other than chunked"},
		"TE with VT":         {post + "Transfer-Encoding: \x0bchunked\r\n\r\n", "control byte"},
		"chunked in 1.0":     {"POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.0"},
		"TE look-alike":      {post + "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n", "some servers take for"},
		"CL look-alike":      {post + "content_length: 5\r\n\r\nhello", "some servers take for"},
		"look-alikes":        {get + "Keep_alive: 1\r\n\r\n", "some servers take for"},
		"trailer look-alike": {post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent_Length: 5\r\n\r\n", "trailer"},
		"no Host":            {"GET / HTTP/1.1\r\n\r\n", "no Host"},
		"two Hosts":          {get + "Host: b.example\r\n\r\n", "repeated Host"},
		"bad Host":           {"GET / HTTP/1.1\r\nHost: a.example\\@b\r\n\r\n", "bad host"},
		"Host with user":     {"GET / HTTP/1.1\r\nHost: u@a.example\r\n\r\n", "bad host"},
		"absolute and Host":  {"GET https://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "the Host differs"},
		"absolute user":      {"GET https://u:p@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "plain https URL"},
		"absolute http":      {"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "plain https URL"},
		"asterisk":           {"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", "request target"},
		"fragment":           {"GET /#x HTTP/1.1\r\nHost: a.example\r\n\r\n", "request target"},
		"bad escape":         {"GET /%zz HTTP/1.1\r\nHost: a.example\r\n\r\n", "request target"},
		"nested CONNECT":     {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "inside a tunnel"},
		"empty line first":   {"\r\n" + get + "\r\n", "empty line"},
		"TLS":                {"\x16\x03\x01\x02\x00", "control byte"},
		"many headers":       {get + strings.Repeat("X: y\r\n", 201) + "\r\n", "200 header"},
		"long head":          {get + "X: " + strings.Repeat("y", maxHead) + "\r\n\r\n", "64 KiB"},
		"trailer names":      {post + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n", "trailer"},
		"second is bad":      {get + "\r\n" + get + "Host: b.example\r\n\r\n", "repeated Host"},
		"chunk extension":    {post + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", "chunk framing"},
		"chunk bare LF":      {post + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", "chunk framing"},
		"chunk 0x":           {post + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", "chunk framing"},
		"chunk space":        {post + "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", "chunk framing"},
		"chunk empty size":   {post + "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", "chunk framing"},
		"chunk too short":    {post + "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n", "chunk framing"},
		"chunk huge":         {post + "Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", "chunk framing"},
		"trailer host":       {post + "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n", "trailer"},
		"trailer fold":       {post + "Transfer-Encoding: chunked\r\n\r\n0\r\n X: b\r\n\r\n", "trailer"},
	}
	for name, tt := range tests {
		for _, step := range []int{0, 1} {
			_, _, err := throughGuard([]byte(tt.input), inTunnel, step)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s (step %d): got %v, want %q", name, step, err, tt.want)
			}
		}
	}
}

func TestGuardExplicit(t *testing.T) {
	tests := map[string]struct{ input, want string }{
		"absolute":           {"GET http://a.example/ HTTP/1.1\r\nHost: A.example:80\r\n\r\n", ""},
		"origin form":        {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "absolute URL"},
		"https":              {"GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "CONNECT"},
		"other port in Host": {"GET http://a.example/ HTTP/1.1\r\nHost: a.example:81\r\n\r\n", "the Host differs"},
		"CONNECT":            {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", ""},
		"CONNECT 1.0":        {"CONNECT a.example:443 HTTP/1.0\r\n\r\n", ""},
		"CONNECT no Host":    {"CONNECT a.example:443 HTTP/1.1\r\n\r\n", "no Host"},
		"CONNECT no port":    {"CONNECT a.example HTTP/1.1\r\nHost: a.example\r\n\r\n", "no port"},
		"CONNECT other Host": {"CONNECT a.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n", "the Host differs"},
		"CONNECT NUL":        {"CONNECT evil\x00.a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", "control byte"},
		"CONNECT short IP":   {"CONNECT 127.1:443 HTTP/1.1\r\nHost: 127.1:443\r\n\r\n", "canonical IP"},
		"CONNECT body":       {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n\r\nx", "with a body"},
		"late CONNECT": {"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n" +
			"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", "used already"},
	}
	for name, tt := range tests {
		_, _, err := throughGuard([]byte(tt.input), asProxy, 0)
		if got := errText(err); !strings.Contains(got, tt.want) || (tt.want == "") != (err == nil) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestGuardPassesAsSent(t *testing.T) {
	input := "POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello" +
		"POST /b?x=%41 HTTP/1.1\r\nHost: a.example:443\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n" +
		"GET https://a.example/c HTTP/1.1\r\nHost: a.example\r\n\r\n"
	want := []seenRequest{
		{"POST", "/a", "a.example", "hello"},
		{"POST", "/b?x=%41", "a.example:443", "abcde"},
		{"GET", "https://a.example/c", "a.example", ""},
	}
	for _, step := range []int{0, 1, 7} {
		out, _, err := throughGuard([]byte(input), inTunnel, step)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(input, string(out)); diff != "" {
			t.Errorf("step %d: bytes changed (-want +got):\n%s", step, diff)
		}
		seen, err := asNetHTTP(out)
		if diff := cmp.Diff(want, seen); diff != "" || err != nil {
			t.Errorf("step %d: %v (-want +got):\n%s", step, err, diff)
		}
	}
}

func TestGuardHoldsAfterUpgrade(t *testing.T) {
	early := strings.Repeat("x", 8192)
	_, _, err := throughGuard([]byte("GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\r\n"+early), inTunnel, 0)
	if !errors.Is(err, errEarly) {
		t.Errorf("got %v, want %v", err, errEarly)
	}
}

// FuzzGuard: what passes parses in net/http to the requests that the guard
// saw, never to more, fewer or others, however the bytes arrive.
func FuzzGuard(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: b\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.0\r\nHost: b\r\n\r\n",
		"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
		"CONNECT a:1 HTTP/1.0\r\n\r\nxyz",
		"GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(inTunnel), uint8(0))
		f.Add([]byte(s), uint8(asProxy), uint8(1))
		f.Add([]byte(s), uint8(onPort80), uint8(2))
	}
	f.Fuzz(func(t *testing.T, input []byte, entry, step uint8) {
		out, heads, whole, _ := guarded(input, way(entry%3), int(step))
		if !bytes.HasPrefix(input, out) {
			t.Fatalf("changed the bytes: %q", out)
		}
		seen, err := asNetHTTP(out)
		if err != nil && whole {
			t.Fatalf("net/http refuses what passed: %v: %q", err, out)
		}
		if len(seen) != len(heads) {
			t.Fatalf("guard saw %d requests, net/http %d: %q", len(heads), len(seen), out)
		}
		for i, h := range heads {
			s := seen[i]
			if s.Method != h.method || s.Target != h.target {
				t.Fatalf("guard %+v, net/http %+v", h, s)
			}
			if !h.chunked && int64(len(s.Body)) > h.length {
				t.Fatalf("body of %d bytes, guard expects %d", len(s.Body), h.length)
			}
		}
	})
}
