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
	// escape means that it may leave some of the text as it is.
	escape bool
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
	{name: "plain", of: func(v string, _ *rand.Rand) string { return v }},
	{name: "upper", of: func(v string, _ *rand.Rand) string { return strings.ToUpper(v) }},
	{name: "lower", of: func(v string, _ *rand.Rand) string { return strings.ToLower(v) }},
	{name: "reversed", of: func(v string, _ *rand.Rand) string { return reverse(v) }},
	{name: "rot13", of: func(v string, _ *rand.Rand) string { return rot13(v) }},
	{name: "base64 at 0", of: aligned(0)},
	{name: "base64 at 1", of: aligned(1)},
	{name: "base64 at 2", of: aligned(2)},
	{name: "base64 at 300", of: aligned(300)},
	{name: "base64url", of: func(v string, _ *rand.Rand) string { return base64.RawURLEncoding.EncodeToString([]byte("~~?" + v)) }},
	{name: "base64 in lines", of: func(v string, r *rand.Rand) string { return split(20, "\r\n")(std64(v), r) }},
	{name: "base64 twice", of: times(2, std64)},
	{name: "base64 three times", of: times(3, std64)},
	{name: "base64 twice, in groups", of: func(v string, r *rand.Rand) string { return split(5, "-")(times(2, std64)(v, r), r) }},
	{name: "base64 of reversed", of: func(v string, _ *rand.Rand) string { return std64(reverse(v)) }},
	{name: "reversed base64", of: func(v string, _ *rand.Rand) string { return reverse(std64(v)) }},
	{name: "base64 of upper", of: func(v string, _ *rand.Rand) string { return std64(strings.ToUpper(v)) }},
	{name: "base32", of: func(v string, _ *rand.Rand) string { return base32.StdEncoding.EncodeToString([]byte("ab" + v)) }},
	{name: "hex", of: func(v string, _ *rand.Rand) string { return hex.EncodeToString([]byte(v)) }},
	{name: "HEX", of: func(v string, _ *rand.Rand) string { return strings.ToUpper(hex.EncodeToString([]byte(v))) }},
	{name: "hex of base64", of: func(v string, _ *rand.Rand) string { return hex.EncodeToString([]byte(std64(v))) }},
	{name: "base64 of hex", of: func(v string, _ *rand.Rand) string { return std64(hex.EncodeToString([]byte(v))) }},
	{name: `\x41`, of: printed(`\x%02x`)},
	{name: "41:42", of: printed("%02X:")},
	{name: "0x41, ", of: printed("0x%02x, ")},
	{name: "[65, 66]", of: printed("%d, ")},
	{name: `\101`, of: printed(`\%03o`)},
	{name: "101 102", of: printed("%o ")},
	{name: "01000001", of: printed("%08b ")},
	{name: "percent", of: func(v string, _ *rand.Rand) string { return percent(v) }},
	{name: "percent, some", of: some("%%%02x", "%%%02X")},
	{name: "percent of percent", of: times(2, percent)},
	{name: "percent three times", of: times(3, percent)},
	{name: "percent escaped three times", of: func(v string, _ *rand.Rand) string {
		return times(2, url.QueryEscape)(percent(v), nil)
	}},
	{name: "percent nine times", of: func(v string, _ *rand.Rand) string { return times(8, url.QueryEscape)(percent(v), nil) }},
	{name: `\u0041`, of: printed(`\u%04x`)},
	{name: "JSON, some", of: some(`\u%04X`, `\u%04x`)},
	{name: `\\u0041`, of: printed(`\\u%04x`)},
	{name: `\u{41}`, of: printed(`\u{%x}`)},
	{name: "HTML", of: printed("&#%d;")},
	{name: "HTML, some", of: some("&#%d;", "&#x%x;", "&#x%04X;")},
	{name: "HTML of percent", of: printed("&#37;%02x")},
	{name: "all escapes, some", of: some("&#%d;", `\x%02x`, "%%%02x", `\u%04x`, "%%25%02x")},
	{name: "every character by itself", of: split(1, " ")},
	{name: "groups, dash", of: split(4, "-")},
	{name: "groups, dots", of: split(7, "...")},
	{name: "lines", of: split(3, "\n")},
	{name: "JSON lines", of: split(3, `\n`)},
	{name: "JSON array", of: split(5, `","`)},
	{name: "concatenation", of: split(6, `" + "`)},
	{name: "zero-width", of: split(2, "\u200b")},
	{name: "UTF-16", of: func(v string, _ *rand.Rand) string {
		return eachByte(v, func(_ int, c byte) string { return string(c) + "\x00" })
	}},
	{name: "gzip in base64", of: func(v string, _ *rand.Rand) string { return std64(gzipped(v)) }},
	{name: "zlib in base64", of: func(v string, _ *rand.Rand) string { return std64(zlibbed("some text before " + v)) }},
	{name: "zstd in base64", of: func(v string, _ *rand.Rand) string { return std64(zstded("some text before " + v)) }},
	{name: "gzip in hex", of: func(v string, _ *rand.Rand) string { return hex.EncodeToString([]byte(gzipped(v))) }},
	{name: "base64 in gzip in base64", of: func(v string, _ *rand.Rand) string { return std64(gzipped(std64(v))) }},
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
