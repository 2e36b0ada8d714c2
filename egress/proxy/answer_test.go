package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var stars = strings.Repeat("*", len(secret))

func gzipped(s string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.Bytes()
}

// Attack D3: an answer that quotes the credential, in the heads and bodies
// that servers send.
func TestEcho(t *testing.T) {
	type answer struct {
		status         int
		length         string
		etag, coding   string
		digest         bool
		body, errorHas string
	}
	type server func(rw http.ResponseWriter, auth string)
	tests := map[string]struct {
		method string
		serve  server
		want   answer
	}{
		"short": {"GET", func(rw http.ResponseWriter, auth string) {
			rw.Header().Set("ETag", `"1"`)
			rw.Header().Set("Content-MD5", "x")
			fmt.Fprintf(rw, `{"auth":%q}`, auth)
		}, answer{status: 200, length: "42", body: `{"auth":"Bearer ` + stars + `"}`}},
		"short and clean": {"GET", func(rw http.ResponseWriter, _ string) {
			rw.Header().Set("ETag", `"1"`)
			rw.Header().Set("Content-MD5", "x")
			fmt.Fprint(rw, `{"ok":true}`)
		}, answer{status: 200, length: "11", etag: `"1"`, digest: true, body: `{"ok":true}`}},
		"long": {"GET", func(rw http.ResponseWriter, auth string) {
			rw.Header().Set("ETag", `"1"`)
			rw.Header().Set("Content-Length", "100031")
			fmt.Fprint(rw, auth, strings.Repeat(" ", 100000))
		}, answer{status: 200, length: "100031", body: "Bearer " + stars + strings.Repeat(" ", 100000)}},
		"no length": {"GET", func(rw http.ResponseWriter, auth string) {
			rw.Header().Set("ETag", `"1"`)
			for i := range auth {
				fmt.Fprint(rw, auth[i:i+1])
				_ = http.NewResponseController(rw).Flush()
			}
		}, answer{status: 200, body: "Bearer " + stars}},
		"an error page": {"GET", func(rw http.ResponseWriter, auth string) {
			rw.WriteHeader(500)
			fmt.Fprint(rw, "Basic ", base64.StdEncoding.EncodeToString([]byte("me:"+auth)))
		}, answer{status: 500, length: "54", body: "Basic bWU6" + strings.Repeat("*", 44)}},
		"gzip": {"GET", func(rw http.ResponseWriter, auth string) {
			rw.Header().Set("Content-Encoding", "gzip")
			rw.Header().Set("ETag", `"1"`)
			_, _ = rw.Write(gzipped(auth))
		}, answer{status: 200, body: "Bearer " + stars}},
		"empty gzip": {"GET", func(rw http.ResponseWriter, _ string) {
			rw.Header().Set("Content-Encoding", "x-gzip")
			_ = http.NewResponseController(rw).Flush()
		}, answer{status: 200}},
		"not gzip": {"GET", func(rw http.ResponseWriter, auth string) {
			rw.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(rw, auth)
		}, answer{status: 502, errorHas: "cannot be looked for"}},
		"br": {"GET", func(rw http.ResponseWriter, auth string) {
			rw.Header().Set("Content-Encoding", "br")
			fmt.Fprint(rw, auth)
		}, answer{status: 502, errorHas: "Content-Encoding other than gzip"}},
		"gzip twice": {"GET", func(rw http.ResponseWriter, auth string) {
			rw.Header().Set("Content-Encoding", "gzip, gzip")
			_, _ = rw.Write(gzipped(string(gzipped(auth))))
		}, answer{status: 502, errorHas: "Content-Encoding other than gzip"}},
		"identity": {"GET", func(rw http.ResponseWriter, auth string) {
			rw.Header().Set("Content-Encoding", "identity")
			fmt.Fprint(rw, auth)
		}, answer{status: 200, length: "31", coding: "identity", body: "Bearer " + stars}},
		"HEAD": {"HEAD", func(rw http.ResponseWriter, _ string) {
			rw.Header().Set("Content-Length", "12345")
			rw.Header().Set("Content-Encoding", "br")
			rw.Header().Set("ETag", `"1"`)
		}, answer{status: 200, length: "12345", etag: `"1"`, coding: "br"}},
		"204": {"DELETE", func(rw http.ResponseWriter, _ string) {
			rw.Header().Set("ETag", `"1"`)
			rw.WriteHeader(204)
		}, answer{status: 204, etag: `"1"`}},
		"304": {"GET", func(rw http.ResponseWriter, _ string) {
			rw.Header().Set("ETag", `"1"`)
			rw.WriteHeader(304)
		}, answer{status: 304, etag: `"1"`}},
	}
	for _, port := range []int{80, 443} { // HTTP/1.1 and HTTP/2 upstream
		both(t, func(t *testing.T, h2 bool) {
			w := newWorld(t, authed("a.example", port))
			var serve server
			w.serve(strconv.Itoa(port), port == 443, func(rw http.ResponseWriter, r *http.Request) {
				serve(rw, r.Header.Get("Authorization"))
			})
			c := w.client(h2)
			c.Transport.(*http.Transport).DisableCompression = true
			for name, tt := range tests {
				serve = tt.serve
				res, body := do(t, c, tt.method, map[int]string{80: "http", 443: "https"}[port]+"://a.example/", nil)
				got := answer{
					status: res.StatusCode, length: res.Header.Get("Content-Length"), etag: res.Header.Get("ETag"),
					coding: res.Header.Get("Content-Encoding"), digest: res.Header.Get("Content-MD5") != "", body: body,
				}
				if tt.want.errorHas != "" {
					if !strings.Contains(errorOf(t, body), tt.want.errorHas) {
						t.Errorf("%s: %s", name, body)
					}
					got.body, got.length, got.errorHas = "", "", tt.want.errorHas
				}
				if name == "empty gzip" {
					got.length = "" // the server's choice
				}
				if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(answer{})); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		})
	}
}

// A route without a credential passes every coding as it is; one with it asks
// for gzip at most, and for the whole.
func TestCodingWithoutCredential(t *testing.T) {
	w := newWorld(t, route("a.example", 443))
	seen := w.serve("443", true, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Encoding", "br")
		fmt.Fprint(rw, secret)
	})
	res, body := do(t, w.client(true), "GET", "https://a.example/", nil, "Accept-Encoding", "br, zstd", "Range", "bytes=1-2")
	if res.Header.Get("Content-Encoding") != "br" || body != secret {
		t.Errorf("%v %q", res.Header, body)
	}
	h := seen.last().Header
	if h.Get("Accept-Encoding") != "br, zstd" || h.Get("Range") != "bytes=1-2" {
		t.Errorf("upstream got %v", h)
	}
	w.policy(authed("a.example", 443))
	res, _ = do(t, w.client(true), "GET", "https://a.example/", nil, "Accept-Encoding", "br, gzip", "Range", "bytes=1-2")
	h = seen.last().Header
	if res.StatusCode != 502 || h.Get("Accept-Encoding") != "gzip" || h.Get("Range") != "" {
		t.Errorf("%s, upstream got %v", res.Status, h)
	}
}

func TestAcceptEncoding(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "gzip": "gzip", "br, gzip;q=0.5": "gzip", "GZip": "gzip", "*": "gzip", "x-gzip;q=1": "gzip",
		"br": "identity", "gzip;q=0": "identity", "gzip; q=0.0, br": "identity", "identity": "identity",
	} {
		h := http.Header{}
		if in != "" {
			h.Set("Accept-Encoding", in)
		}
		limitCoding(h)
		if got := h.Get("Accept-Encoding"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Events arrive as they are sent, also out of gzip, with the credential gone
// from them, from 1xx heads and from trailers.
func TestStreamsAreRedacted(t *testing.T) {
	for _, coding := range []string{"", "gzip"} {
		both(t, func(t *testing.T, h2 bool) {
			w := newWorld(t, authed("a.example", 443))
			next := make(chan struct{})
			w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
				auth := r.Header.Get("Authorization")
				rw.Header().Set("X-Early", auth)
				rw.WriteHeader(http.StatusEarlyHints)
				rw.Header().Del("X-Early")
				rw.Header().Set("Content-Type", "text/event-stream")
				rw.Header().Set("Trailer", "X-End")
				flush := func() { _ = http.NewResponseController(rw).Flush() }
				out := io.Writer(rw)
				if coding != "" {
					rw.Header().Set("Content-Encoding", coding)
					z := gzip.NewWriter(rw)
					defer z.Close()
					flush = func() {
						_ = z.Flush()
						_ = http.NewResponseController(rw).Flush()
					}
					out = z
				}
				flush()
				for i := range 3 {
					fmt.Fprintf(out, "data: %d %s\n\n", i, auth)
					flush()
					<-next
				}
				rw.Header().Set("X-End", auth)
			})
			var early textproto.MIMEHeader
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
					early = h
					return nil
				},
			})
			req, _ := http.NewRequestWithContext(ctx, "GET", "https://a.example/", nil)
			res, err := w.client(h2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			br := bufio.NewReader(res.Body)
			for i := range 3 {
				line, err := br.ReadString('\n')
				if want := fmt.Sprintf("data: %d Bearer %s\n", i, stars); err != nil || line != want {
					t.Fatalf("%q, want %q; %v", line, want, err)
				}
				_, _ = br.ReadString('\n')
				next <- struct{}{}
			}
			_, err = io.ReadAll(br)
			if early.Get("X-Early") != "Bearer [redacted]" || res.Trailer.Get("X-End") != "Bearer [redacted]" || err != nil {
				t.Errorf("1xx %v, trailer %v, %v", early, res.Trailer, err)
			}
		})
	}
}

// A large answer passes in constant memory.
func TestLargeAnswer(t *testing.T) {
	const size, piece = 200 << 20, 1 << 20
	w := newWorld(t, authed("a.example", 80))
	w.serve("80", false, func(rw http.ResponseWriter, r *http.Request) {
		data := []byte(strings.Repeat("s", piece))
		copy(data[piece/2:], r.Header.Get("Authorization"))
		for range size / piece {
			_, _ = rw.Write(data)
		}
	})
	res, err := w.client(false).Get("http://a.example/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	found, total, most := 0, 0, uint64(0)
	buf := make([]byte, piece)
	start := time.Now()
	for err == nil {
		var n int
		n, err = io.ReadFull(res.Body, buf)
		found += bytes.Count(buf[:n], []byte(secret))
		if total += n; total/piece%20 == 0 {
			runtime.ReadMemStats(&after)
			most = max(most, after.HeapInuse)
		}
	}
	t.Logf("%.0f MB/s, heap in use %d KiB before, at most %d", float64(total)/1e6/time.Since(start).Seconds(), before.HeapInuse>>10, most>>10)
	if total != size || found != 0 || most > before.HeapInuse+(16<<20) {
		t.Errorf("%d bytes, the credential %d times, heap %d to %d", total, found, before.HeapInuse, most)
	}
}

// The frames of a WebSocket, whole and in pieces, from upstream to agent.
func TestWebSocketIsRedacted(t *testing.T) {
	w := newWorld(t, socket("a.example"))
	seen := w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
		auth := r.Header.Get("Authorization")
		rw.Header().Set("Upgrade", "websocket")
		rw.Header().Set("Connection", "Upgrade")
		rw.WriteHeader(http.StatusSwitchingProtocols)
		c, brw, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		frame := "\x81" + string(rune(len(auth))) + auth
		_, _ = io.WriteString(c, frame)
		_, _ = brw.ReadByte()
		for i := range frame {
			_, _ = io.WriteString(c, frame[i:i+1])
			time.Sleep(time.Millisecond)
		}
		_, _ = io.WriteString(c, "\x81\x02ys") // a form may begin with its end
		_, _ = io.Copy(c, brw)
	})
	br, c, res := w.upgrade(strings.Replace(wsHead, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 1))
	if res.StatusCode != 101 || seen.last().Header.Get("Sec-Websocket-Extensions") != "" {
		t.Fatalf("%s, upstream got %v", res.Status, seen.last().Header)
	}
	want := "\x81\x1fBearer " + stars
	for i, more := range []string{"", "\x81\x02ys"} {
		got := make([]byte, len(want+more))
		if _, err := io.ReadFull(br, got); err != nil || string(got) != want+more {
			t.Fatalf("%d: %q, %v", i, got, err)
		}
		fmt.Fprint(c, "!")
	}
}

// An extension that was not asked for would hide what is in the frames.
func TestWebSocketExtension(t *testing.T) {
	w := newWorld(t, socket("a.example"))
	w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Sec-WebSocket-Extensions", "permessage-deflate")
		echo(rw, r)
	})
	_, _, res := w.upgrade(wsHead)
	if res.StatusCode != 502 {
		t.Error(res.Status)
	}
}

func TestHeaderRedaction(t *testing.T) {
	const s = "sk-A/b+c d-0123456789"
	r := newRedactor(s, "Bearer "+s)
	for in, want := range map[string]string{
		"plain":                                    "plain",
		"Bearer " + s:                              "Bearer [redacted]",
		"x sk-A%2Fb%2Bc%20d-0123456789 y":          "x [redacted] y",
		"SK-a/B+C D-0123456789":                    "",
		"%73k-A/b+c d-0123456789":                  "",
		"%2573k-A/b%252bc d-0123456789":            "",
		`\u0073k-A\/b+c d-0123456789`:              "",
		`"%5cu0073k-a/b+c%20d-0123456789"`:         "",
		"Bearer " + s + " %53k-A/b+c d-0123456789": "",
		"100% of /a\\b":                            "100% of /a\\b",
	} {
		h := http.Header{"X": {in}, "X-Other": {"kept"}}
		r.header(h)
		if diff := cmp.Diff(http.Header{"X": {want}, "X-Other": {"kept"}}, h); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
	// What stands in for it makes no new one.
	for _, s := range []string{"redacted", "[redacted]", "d]x[reda", "abc", "a"} {
		h := http.Header{"X": {s + "x" + s}, "Y" + s: {"1"}}
		newRedactor(s, s).header(h)
		if got := h.Get("X"); strings.Contains(got, s) || len(h) != 1 {
			t.Errorf("%q becomes %v", s, h)
		}
	}
}
