package dlp

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// canary has the form of those that bb plants: no real credential.
const canary = "bbc_Zt7kQ0vYw3mHs9XrL5aEd2Ug"

// spelling is one way to write a value.
type spelling struct {
	name string
	of   func(v string, r *rand.Rand) string
}

func eachByte(v string, f func(i int, c byte) string) string {
	var b strings.Builder
	for i := range len(v) {
		b.WriteString(f(i, v[i]))
	}
	return b.String()
}

func printed(format string) func(string, *rand.Rand) string {
	return func(v string, _ *rand.Rand) string {
		return eachByte(v, func(_ int, c byte) string { return fmt.Sprintf(format, c) })
	}
}

// some writes a random half of the bytes with one of the formats.
func some(formats ...string) func(string, *rand.Rand) string {
	return func(v string, r *rand.Rand) string {
		return eachByte(v, func(_ int, c byte) string {
			if r.IntN(2) == 0 {
				return string(c)
			}
			return fmt.Sprintf(formats[r.IntN(len(formats))], c)
		})
	}
}

func split(n int, sep string) func(string, *rand.Rand) string {
	return func(v string, _ *rand.Rand) string {
		var parts []string
		for ; len(v) > n; v = v[n:] {
			parts = append(parts, v[:n])
		}
		return strings.Join(append(parts, v), sep)
	}
}

func times(n int, f func(string) string) func(string, *rand.Rand) string {
	return func(v string, _ *rand.Rand) string {
		for range n {
			v = f(v)
		}
		return v
	}
}

func std64(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) }

func percent(v string) string {
	return eachByte(v, func(_ int, c byte) string { return fmt.Sprintf("%%%02X", c) })
}

func packedBy(f func(io.Writer) io.WriteCloser) func(string) string {
	return func(v string) string {
		var b bytes.Buffer
		w := f(&b)
		_, _ = io.WriteString(w, v)
		_ = w.Close()
		return b.String()
	}
}

var (
	gzipped  = packedBy(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	zlibbed  = packedBy(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	brotlied = packedBy(func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) })
	deflated = packedBy(func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 6); return f })
	zstded   = packedBy(func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z })
)

func aligned(n int) func(string, *rand.Rand) string {
	return func(v string, _ *rand.Rand) string { return std64(strings.Repeat("z", n) + v + " and more of it") }
}

// spellings that keep to bytes a shell prints.
var spellings = []spelling{
	{"plain", func(v string, _ *rand.Rand) string { return v }},
	{"upper", func(v string, _ *rand.Rand) string { return strings.ToUpper(v) }},
	{"lower", func(v string, _ *rand.Rand) string { return strings.ToLower(v) }},
	{"reversed", func(v string, _ *rand.Rand) string { return reverse(v) }},
	{"rot13", func(v string, _ *rand.Rand) string { return rot13(v) }},
	{"base64 at 0", aligned(0)},
	{"base64 at 1", aligned(1)},
	{"base64 at 2", aligned(2)},
	{"base64 at 300", aligned(300)},
	{"base64url", func(v string, _ *rand.Rand) string { return base64.RawURLEncoding.EncodeToString([]byte("~~?" + v)) }},
	{"base64 in lines", func(v string, r *rand.Rand) string { return split(20, "\r\n")(std64(v), r) }},
	{"base64 twice", times(2, std64)},
	{"base64 three times", times(3, std64)},
	{"base64 twice, in groups", func(v string, r *rand.Rand) string { return split(5, "-")(times(2, std64)(v, r), r) }},
	{"base64 of reversed", func(v string, _ *rand.Rand) string { return std64(reverse(v)) }},
	{"reversed base64", func(v string, _ *rand.Rand) string { return reverse(std64(v)) }},
	{"base64 of upper", func(v string, _ *rand.Rand) string { return std64(strings.ToUpper(v)) }},
	{"base32", func(v string, _ *rand.Rand) string { return base32.StdEncoding.EncodeToString([]byte("ab" + v)) }},
	{"hex", func(v string, _ *rand.Rand) string { return hex.EncodeToString([]byte(v)) }},
	{"HEX", func(v string, _ *rand.Rand) string { return strings.ToUpper(hex.EncodeToString([]byte(v))) }},
	{"hex of base64", func(v string, _ *rand.Rand) string { return hex.EncodeToString([]byte(std64(v))) }},
	{"base64 of hex", func(v string, _ *rand.Rand) string { return std64(hex.EncodeToString([]byte(v))) }},
	{`\x41`, printed(`\x%02x`)},
	{"41:42", printed("%02X:")},
	{"0x41, ", printed("0x%02x, ")},
	{"[65, 66]", printed("%d, ")},
	{`\101`, printed(`\%03o`)},
	{"101 102", printed("%o ")},
	{"01000001", printed("%08b ")},
	{"percent", func(v string, _ *rand.Rand) string { return percent(v) }},
	{"percent, some", some("%%%02x", "%%%02X")},
	{"percent of percent", times(2, percent)},
	{"percent three times", times(3, percent)},
	{"percent escaped three times", func(v string, _ *rand.Rand) string {
		return times(2, url.QueryEscape)(percent(v), nil)
	}},
	{"percent nine times", func(v string, _ *rand.Rand) string { return times(8, url.QueryEscape)(percent(v), nil) }},
	{`\u0041`, printed(`\u%04x`)},
	{"JSON, some", some(`\u%04X`, `\u%04x`)},
	{`\\u0041`, printed(`\\u%04x`)},
	{`\u{41}`, printed(`\u{%x}`)},
	{"HTML", printed("&#%d;")},
	{"HTML, some", some("&#%d;", "&#x%x;", "&#x%04X;")},
	{"HTML of percent", printed("&#37;%02x")},
	{"all escapes, some", some("&#%d;", `\x%02x`, "%%%02x", `\u%04x`, "%%25%02x")},
	{"every character by itself", split(1, " ")},
	{"groups, dash", split(4, "-")},
	{"groups, dots", split(7, "...")},
	{"lines", split(3, "\n")},
	{"JSON lines", split(3, `\n`)},
	{"JSON array", split(5, `","`)},
	{"concatenation", split(6, `" + "`)},
	{"zero-width", split(2, "\u200b")},
	{"UTF-16", func(v string, _ *rand.Rand) string {
		return eachByte(v, func(_ int, c byte) string { return string(c) + "\x00" })
	}},
	{"gzip in base64", func(v string, _ *rand.Rand) string { return std64(gzipped(v)) }},
	{"zlib in base64", func(v string, _ *rand.Rand) string { return std64(zlibbed("some text before " + v)) }},
	{"zstd in base64", func(v string, _ *rand.Rand) string { return std64(zstded("some text before " + v)) }},
	{"gzip in hex", func(v string, _ *rand.Rand) string { return hex.EncodeToString([]byte(gzipped(v))) }},
	{"base64 in gzip in base64", func(v string, _ *rand.Rand) string { return std64(gzipped(std64(v))) }},
}

// carriers put what was spelled into a request.
var carriers = []struct {
	name, media string
	body        func(s string) string
}{
	{"JSON", "application/json", func(s string) string {
		return `{"model":"m","messages":[{"role":"user","content":"see ` + jsonInner(s) + ` here"}]}`
	}},
	{"form", "application/x-www-form-urlencoded", func(s string) string { return "a=1&note=" + url.QueryEscape(s) + "&b=2" }},
	{"multipart", "multipart/form-data; boundary=xyz", func(s string) string {
		return "--xyz\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n" + s + "\r\n--xyz--\r\n"
	}},
	{"query", "", func(s string) string { return "/v1/search?lang=en&q=" + url.QueryEscape(s) + "&page=2" }},
	{"path", "", func(s string) string { return "/v1/items/" + url.PathEscape(s) + "/x" }},
	{"header", "", func(s string) string { return "some words, then:" + s + ";q=1\n*/*" }},
	{"text", "text/plain", func(s string) string { return s }},
}

func jsonInner(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '\n':
			b.WriteString(`\n`)
		case c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// values of the kinds that people have.
var values = []string{
	canary,
	"sk-xyz-v1-AbCd0123456789EfGhIjKlMnOpQrStUvWxYz",
	"p4ss!w0rd#Q=%41&x",
	"0f3d9a7b5c1e8d6f2a4b",
	"correct-horse-battery-staple",
	"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0IiwibiI6MTIzNDU2Nzg5MH0.c2lnbmF0dXJlLW9mLW5vdGhpbmc",
}

// TestFindsEverySpelling asserts for each value, spelling and carrier that it
// is found, and that nothing is found any more once the hits are covered.
func TestFindsEverySpelling(t *testing.T) {
	for _, v := range values {
		s := New([]string{v})
		for _, sp := range spellings {
			if sp.of == nil || isWeak(v) && sp.name == "rot13" {
				continue
			}
			for _, c := range carriers {
				r := rand.New(rand.NewPCG(1, 2))
				body := c.body(sp.of(v, r))
				plain, hits, err := s.Body(body0(c.media, body))
				if err != nil {
					t.Errorf("%s of %s in %s: %v", sp.name, v, c.name, err)
					continue
				}
				if !known(hits) {
					t.Errorf("%s of %s in %s: not found in %s", sp.name, v, c.name, short(body))
					continue
				}
				if c.media == "" && !known(s.Text(body, true)) {
					t.Errorf("%s of %s in %s: not found by Text", sp.name, v, c.name)
				}
				for _, filler := range []byte{'*', 'A'} {
					rest := cover(t, plain, hits, filler)
					if _, again, err := s.Body(body0(c.media, string(rest))); known(again) || err != nil {
						t.Errorf("%s of %s in %s: found again in %s (%v)", sp.name, v, c.name, short(string(rest)), err)
					}
				}
			}
		}
	}
}
