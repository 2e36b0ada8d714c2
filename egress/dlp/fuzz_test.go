package dlp

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

// FuzzBody asserts that no body makes the search panic, write to it, work
// without bound, or tell bounds that are none; and that a value in it is found.
func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"a":"`+canary+`"}`), "application/json", "")
	f.Add([]byte(gzipped(std64(canary))), "", "gzip")
	f.Add([]byte(partOf("Content-Encoding: br\r\n", brotlied(canary))), "multipart/form-data; boundary=b", "")
	f.Add([]byte(zipped("a", canary)), "", "")
	f.Add([]byte("%25"+percent(canary)+`&#x41;\u{41}\101`), "application/x-www-form-urlencoded", "")
	f.Add([]byte(zstded(canary)), "", "zstd")
	f.Add([]byte(std64(zlibbed(hex0(canary)))), "", "")
	s, work := withPatterns(canary, "correct-horse-battery-staple", "!!--hello--!!"), 0
	s.worked = func(n int) { work = n }
	f.Fuzz(func(t *testing.T, data []byte, media, coding string) {
		b := egress.Body{MediaType: media, Data: data}
		if coding != "" {
			b.Codings = strings.Split(coding, ",")
		}
		before := string(data)
		plain, hits, err := s.Body(b)
		if string(data) != before {
			t.Fatal("the body was written to")
		}
		if work > leastWork+workRatio*len(data)+unpackedRatio*maxOutput+maxOutput {
			t.Fatalf("%d bytes of work for %d", work, len(data))
		}
		if err != nil {
			return
		}
		last := 0
		for _, h := range hits {
			if h.End == 0 {
				continue
			}
			if h.Start < last || h.End <= h.Start || h.End > len(plain) {
				t.Fatalf("bounds %v in %d bytes", hits, len(plain))
			}
			last = h.End
		}
		text := string(plain)
		if strings.Contains(text, canary) && !known(hits) {
			t.Fatalf("not found: %v", hits)
		}
		if again := s.Text(text, true); strings.Contains(text, canary) && !known(again) {
			t.Fatal("not found by Text")
		}
	})
}

// FuzzDecode asserts that undoing escapes and decoding runs stay within their
// buffers, and that what was mapped back lies in the text in order.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`a%2541\\u0041&#65;&amp;\x41\101%u0041\u{10ffff}&#x;`))
	f.Add([]byte("QUJD\r\nREVG=="))
	f.Fuzz(func(t *testing.T, text []byte) {
		dst := make([]byte, len(text))
		out, in := -1, 0
		n, undone := undo(dst, text, func(o, start, end int) {
			if o <= out || start < in || end <= start+1 || end > len(text) {
				t.Fatalf("%d of [%d:%d] after %d of %d", o, start, end, out, in)
			}
			out, in = o, end
		})
		if n > len(text) || undone != (out >= 0) || !undone && string(dst[:n]) != string(text) {
			t.Fatalf("%d of %d, %v", n, len(text), undone)
		}
		if got := decode64(nil, text); len(got) > len(text)*3/4 {
			t.Fatalf("%d of %d", len(got), len(text))
		}
		if got := unquote(text); len(got) > len(text) {
			t.Fatalf("%d of %d", len(got), len(text))
		}
	})
}
