package dlp

import (
	"archive/zip"
	"bytes"
	"encoding/base32"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

func zipped(name, v string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create(name)
	_, _ = io.WriteString(w, v)
	_ = z.Close()
	return b.String()
}

// TestHostileBodiesAreBounded asserts on what was read and written, not on
// clocks: whatever comes in, the work has a bound, and what goes beyond it is
// refused.
func TestHostileBodiesAreBounded(t *testing.T) {
	zeros := strings.Repeat("\x00", 100<<20)
	nested := canary
	for range 12 {
		nested = std64(nested)
	}
	matryoshka := strings.Repeat(canary, 50)
	for range 12 {
		matryoshka = gzipped(matryoshka)
	}
	bomb := gzipped(zeros)
	for name, c := range map[string]struct {
		body egress.Body
		err  error // of those that are refused
		work int   // in bytes
	}{
		"gzip bomb":           {body0("", bomb, "gzip"), egress.ErrTooDeep, 65 << 20},
		"br bomb":             {body0("", brotlied(zeros), "br"), egress.ErrTooDeep, 65 << 20},
		"zstd bomb":           {body0("", zstded(zeros), "zstd"), egress.ErrTooDeep, 65 << 20},
		"gzip bomb in gzip":   {body0("", gzipped(bomb), "gzip", "gzip"), egress.ErrTooDeep, 65 << 20},
		"bomb without coding": {body0("", bomb), egress.ErrTooDeep, 200 << 20},
		"bomb in base64":      {body0("", std64(bomb)), egress.ErrTooDeep, 200 << 20},
		"bomb in zip":         {body0("", zipped("a", zeros)), egress.ErrTooDeep, 200 << 20},
		"base64 12 deep":      {body0("", nested), egress.ErrTooDeep, 10 << 20},
		"gzip 12 deep":        {body0("", matryoshka), egress.ErrTooDeep, 10 << 20},
		"percent 1e6 deep":    {body0("", "%"+strings.Repeat("25", 1_000_000)+"41"), nil, 8 << 20},
		"backslashes":         {body0("", strings.Repeat(`\`, 4<<20)+"n"), nil, 16 << 20},
		"entities":            {body0("", strings.Repeat("&#38;#38;", 1<<20)), nil, 200 << 20},
		"escaped digits":      {body0("", times(9, percent)("ab", nil)), egress.ErrTooDeep, 1 << 20},
		"gzip marks":          {body0("", strings.Repeat("\x1f\x8b\x08\x00", 1<<20)), egress.ErrTooDeep, 1 << 30},
		"zip marks":           {body0("", strings.Repeat("PK\x03\x04", 1<<20)), egress.ErrTooDeep, 1 << 30},
		"empty blocks":        {body0("", strings.Repeat("PK\x03\x04"+strings.Repeat("\x00", 4)+"\x08\x00"+strings.Repeat("\x00", 20), 100)+strings.Repeat("\x00\x00\x00\xff\xff", 1<<20)), nil, 1 << 30},
		"all values":          {body0("", strings.Repeat(canary, 200_000)), nil, 64 << 20},
		"all encoded":         {body0("", strings.Repeat(std64(canary)+"=", 100_000)), nil, 64 << 20},
		"runs":                {body0("", strings.Repeat(strings.Repeat("QUJD", 5)+" ", 200_000)), nil, 64 << 20},
		"parts":               {body0("multipart/mixed; boundary=b", strings.Repeat("--b\r\n\r\n\r\n", 200_000)), egress.ErrTooDeep, 64 << 20},
		"parts in parts":      {body0("multipart/mixed; boundary=b", strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 1000)), nil, 1 << 30},
	} {
		s, work := New([]string{canary}), 0
		s.worked = func(n int) { work = n }
		plain, hits, err := s.Body(c.body)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if work > c.work+8<<20 {
			t.Errorf("%s: %d bytes of work, of %d", name, work, len(c.body.Data))
		}
		if len(hits) > maxHits {
			t.Errorf("%s: %d hits", name, len(hits))
		}
		if err == nil {
			cover(t, plain, hits, '*')
		}
	}
}

// TestZipEntries asserts that deflated entries are searched.
func TestZipEntries(t *testing.T) {
	s := New([]string{canary})
	_, hits, err := s.Body(body0("application/zip", zipped("a.txt", strings.Repeat(code, 20)+canary)))
	if err != nil || !known(hits) {
		t.Errorf("%v %v", hits, err)
	}
}

// TestValuesThatAreIgnored asserts that short values, and none, find nothing.
func TestValuesThatAreIgnored(t *testing.T) {
	for _, list := range [][]string{nil, {""}, {"short"}, {"elevenbytes"}} {
		s := New(list)
		text := "short elevenbytes " + strings.Repeat(code, 100)
		if _, hits, err := s.Body(body0("", text)); len(hits) > 0 || err != nil {
			t.Errorf("%q: %v %v", list, hits, err)
		}
	}
	if !known(New([]string{canary + "\n"}).Text(base32.StdEncoding.EncodeToString([]byte(canary)), true)) {
		t.Error("the value without its line end is not found")
	}
	s := New([]string{"user:" + canary})
	if !known(s.Text("x"+std64("someone:"+canary), true)) || !known(s.Text(canary, true)) {
		t.Error("the password alone is not found")
	}
}
