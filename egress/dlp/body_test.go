package dlp

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"mime/quotedprintable"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

const fixture = "fixture_TOKEN_0123456789"

// withPatterns is a Scanner with one pattern, as the one for tokens has many.
func withPatterns(values ...string) *Scanner {
	s := New(values)
	s.patterns = func(text []byte, emit func(string, int, int)) {
		for from := 0; ; {
			i := bytes.Index(text[from:], []byte(fixture))
			if i < 0 {
				return
			}
			emit("fixture token", from+i, from+i+len(fixture))
			from += i + 1
		}
	}
	return s
}

func quoted(v string) string {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(v))
	_ = w.Close()
	return b.String()
}

func partOf(header, body string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n" + header + "\r\n" + body + "\r\n--b--\r\n"
}

// TestBodies asserts what is found in coded and multipart bodies, and what is
// refused.
func TestBodies(t *testing.T) {
	s := withPatterns(canary)
	half := len(canary) / 2
	const multi = "multipart/form-data; boundary=b"
	text := `{"a":"` + canary + `"}`
	for name, c := range map[string]struct {
		body   egress.Body
		bounds bool
		err    error
	}{
		"gzip":                {body0("", gzipped(text), "gzip"), true, nil},
		"two gzip members":    {body0("", gzipped("{}")+gzipped(text), "gzip"), true, nil},
		"deflate":             {body0("", zlibbed(text), "deflate"), true, nil},
		"deflate, raw":        {body0("", deflated(text), "deflate"), true, nil},
		"br":                  {body0("", brotlied(text), "br"), true, nil},
		"zstd":                {body0("", zstded(text), "zstd"), true, nil},
		"gzip in br":          {body0("", brotlied(gzipped(text)), "gzip", "br"), true, nil},
		"gzip in zstd, one":   {body0("", zstded(gzipped(text)), "gzip, zstd"), true, nil},
		"gzip without coding": {body0("", gzipped(text)), true, nil},
		"zlib without coding": {body0("", zlibbed(text)), true, nil},
		"gzip head": {body0("", packedBy(func(w io0) closer {
			z := gzip.NewWriter(w)
			z.Comment = canary
			return z
		})("{}"), "gzip"), false, nil},
		"zstd skippable": {body0("", "\x50\x2a\x4d\x18"+string(rune(len(canary)))+"\x00\x00\x00"+canary+zstded("{}"), "zstd"), false, nil},
		"unknown":        {body0("", text, "compress"), false, egress.ErrUndecodable},
		"not gzip":       {body0("", text, "gzip"), false, egress.ErrUndecodable},
		"gzip, cut":      {body0("", gzipped(text)[:30], "gzip"), false, egress.ErrUndecodable},
		"br, cut":        {body0("", brotlied(text)[:20], "br"), false, egress.ErrUndecodable},
		"zstd, cut":      {body0("", zstded(text)[:20], "zstd"), false, egress.ErrUndecodable},
		"deflate, cut":   {body0("", zlibbed(text)[:20], "deflate"), false, egress.ErrUndecodable},
		"gzip, more":     {body0("", gzipped("{}")+"more", "gzip"), false, egress.ErrUndecodable},
		"br, more":       {body0("", brotlied("{}")+"more", "br"), false, egress.ErrUndecodable},
		"zlib, more":     {body0("", zlibbed("{}")+"more", "deflate"), false, egress.ErrUndecodable},
		"deflate, more":  {body0("", deflated("{}")+"more", "deflate"), false, egress.ErrUndecodable},
		"zstd, more":     {body0("", zstded("{}")+"more", "zstd"), false, egress.ErrUndecodable},
		"many codings":   {body0("", text, "gzip", "gzip", "gzip", "gzip"), false, egress.ErrTooDeep},

		"part, base64":       {body0(multi, partOf("Content-Transfer-Encoding: base64\r\n", base64.StdEncoding.EncodeToString([]byte(text)))), true, nil},
		"part, short lines":  {body0(multi, partOf("Content-Transfer-Encoding: base64\r\n", split(6, "\r\n")(std64(gzipped(text)), nil))), true, nil},
		"part, quoted":       {body0(multi, partOf("Content-Transfer-Encoding: Quoted-Printable\r\n", strings.ReplaceAll(quoted(text), canary[3:8], "=\r\n"+quotedAll(canary[3:8])))), true, nil},
		"part, gzip":         {body0(multi, partOf("Content-Encoding: gzip\r\n", gzipped(text))), true, nil},
		"part, br":           {body0(multi, partOf("content-encoding: br\r\n", brotlied(text))), true, nil},
		"part, unknown":      {body0(multi, partOf("Content-Encoding: x\r\n", text)), false, egress.ErrUndecodable},
		"split over parts":   {body0(multi, partOf("", canary[:half])+partOf("", canary[half:])), false, nil},
		"split, base64 part": {body0(multi, partOf("Content-Transfer-Encoding: base64\r\n", std64(canary[:half]))+partOf("", canary[half:])), false, nil},
		"part in a part":     {body0("multipart/mixed; boundary=o", "--o\r\nContent-Type: "+multi+"\r\n\r\n"+partOf("Content-Encoding: br\r\n", brotlied(text))+"\r\n--o--"), false, nil},
		"no boundary":        {body0("multipart/form-data", text), false, egress.ErrUndecodable},
		"bad media type":     {body0("multipart/form-data; boundary=\"b", text), false, egress.ErrUndecodable},
		"split over fields":  {body0("application/x-www-form-urlencoded", "a="+canary[:half]+"&b="+canary[half:]), false, nil},
	} {
		plain, hits, err := s.Body(c.body)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err != nil {
			continue
		}
		if !known(hits) {
			t.Errorf("%s: not found: %v", name, hits)
			continue
		}
		if !c.bounds {
			if hits[0].End != 0 {
				t.Errorf("%s: bounds %v", name, hits)
			}
			continue
		}
		if hits[0].End == 0 {
			t.Errorf("%s: no bounds: %v", name, hits)
			continue
		}
		b := c.body
		b.Codings, b.Data = nil, cover(t, plain, hits, '*')
		if _, again, _ := s.Body(b); known(again) {
			t.Errorf("%s: again: %v", name, again)
		}
	}
}

// TestPatternsInEveryLayer asserts that patterns see what is decoded, that
// exact searches see no pattern, and that hits cover the run.
func TestPatternsInEveryLayer(t *testing.T) {
	s := withPatterns(canary)
	for name, text := range map[string]string{
		"plain":   fixture,
		"base64":  std64("some binary \x00\xff" + fixture),
		"behind":  "/v1/upload/" + std64(fixture),
		"hex":     hex0(fixture),
		"percent": percent(fixture),
		"gzip":    std64(gzipped(fixture)),
		"long":    "x" + std64(strings.Repeat(code, 100)+fixture),
	} {
		body := `{"text": "` + text + `"}`
		plain, hits, err := s.Body(body0("application/json", body))
		if err != nil || len(hits) != 1 || hits[0].Known || hits[0].Detector != "fixture token" {
			t.Errorf("%s: %v %v", name, hits, err)
			continue
		}
		if want := strings.Index(body, text); hits[0].Start > want || hits[0].End < want+len(strings.TrimRight(text, "=")) {
			t.Errorf("%s: bounds %v, want %d", name, hits, want)
		}
		if _, again, _ := s.Body(body0("", string(cover(t, plain, hits, '*')))); len(again) > 0 {
			t.Errorf("%s: again %v", name, again)
		}
		if hits := s.Text(body, true); len(hits) > 0 {
			t.Errorf("%s: %v by an exact search", name, hits)
		}
	}
	if hits := s.Text(fixture+canary+" "+fixture, false); len(hits) != 3 {
		t.Errorf("side by side: %v", hits)
	}
}

// TestRepeatedRuns asserts that a long run is covered in each of its places.
func TestRepeatedRuns(t *testing.T) {
	s := withPatterns()
	run := std64(strings.Repeat(code, 20) + fixture)
	plain, hits, err := s.Body(body0("", run+" "+run+" "+run))
	if err != nil || len(hits) != 3 {
		t.Fatal(hits, err)
	}
	if _, again, _ := s.Body(body0("", string(cover(t, plain, hits, '*')))); len(again) > 0 {
		t.Error(again)
	}
}
