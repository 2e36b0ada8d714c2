//go:build !race

package dlp

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

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

// TestFindsBehindMuchInPackedData asserts that packed data in packed data is
// followed to its end, however long both are.
func TestFindsBehindMuchInPackedData(t *testing.T) {
	s := New([]string{canary})
	long := noise(600_000) + canary
	for name, body := range map[string]string{
		"gzip twice":            gzipped(gzipped(long)),
		"gzip three times":      gzipped(gzipped(gzipped(long))),
		"gzip, base64, gzip":    gzipped(std64(gzipped(long))),
		"base64 of that":        std64(gzipped(std64(gzipped(long)))),
		"zip of gzip":           zipped("a", gzipped(long)),
		"JSON in base64 of zip": std64(zipped("a", `{"a":"`+std64(zstded(long))+`"}`)),
	} {
		if _, hits, err := s.Body(body0("", body)); err != nil || !known(hits) {
			t.Errorf("%s: %v %v", name, hits, err)
		}
	}
	// What looks like packed data in the middle of a long text is no end of it.
	harmless := std64(gzipped(strings.Repeat(std64(zlibbed(code)[:90])+" "+strings.Repeat(code, 40), 900)))
	if _, hits, err := s.Body(body0("", harmless)); err != nil || len(hits) > 0 {
		t.Errorf("a long text: %v %v", hits, err)
	}
	// What goes on beyond the longest piece cannot be followed.
	var stored bytes.Buffer
	w, _ := flate.NewWriter(&stored, flate.NoCompression)
	_, _ = w.Write([]byte(strings.Repeat(" ", 12<<20) + rot47(canary)))
	_ = w.Close()
	body := gzipped("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + stored.String())
	if _, hits, err := s.Body(body0("", body)); !errors.Is(err, egress.ErrTooDeep) {
		t.Errorf("longer than a piece: %v %v", hits, err)
	}
}

// TestSmallBodiesCostLittle asserts that work is bounded by what came in.
func TestSmallBodiesCostLittle(t *testing.T) {
	escaped := "%25%32%35%32%35 %2%35%32%35&#3%37; " + canary[:5]
	for range 6 {
		escaped = "%25%32%35%32%35 %2%35%32%35&#3%37; " + std64(escaped)
	}
	heads := strings.Repeat("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00\x0a\x00\xf5\xff", 1500)
	for name, c := range map[string]struct {
		media, body string
		codings     []string
	}{
		"rounds":   {"", strings.Repeat(escaped+" ", 150), nil},
		"heads":    {"", heads + strings.Repeat("\x00\x00\x00\xff\xff", 40_000) + "\x07", nil},
		"decoders": {"multipart/form-data; boundary=b", strings.Repeat("--b\r\nContent-Encoding: br\r\n\r\n"+brotlied("a")+"\r\n", 5000), nil},
		"bomb":     {"", gzipped(strings.Repeat("%25", 20<<20)), []string{"gzip"}},
	} {
		s, work := New([]string{canary}), 0
		s.worked = func(n int) { work = n }
		_, _, err := s.Body(body0(c.media, c.body, c.codings...))
		if !errors.Is(err, egress.ErrTooDeep) {
			t.Errorf("%s: %v after %d bytes of work for %d", name, err, work, len(c.body))
		}
		if most := 40 << 20; work > most {
			t.Errorf("%s: %s of work", name, fmt.Sprint(work))
		}
	}
}

// TestStreams asserts that values are found in streams, plain and coded,
// wherever a write ends.
func TestStreams(t *testing.T) {
	s := New([]string{canary})
	long := string(promptJSON(100_000))
	text := long + canary + long
	for name, c := range map[string]struct {
		data   string
		coding []string
		err    error
	}{
		"plain":        {text, nil, nil},
		"base64":       {long + " " + std64(canary) + " " + long, nil, nil},
		"gzip":         {gzipped(text), []string{"gzip"}, nil},
		"deflate":      {deflated(text), []string{"deflate"}, nil},
		"zlib":         {zlibbed(text), []string{"deflate"}, nil},
		"br":           {brotlied(text), []string{"br"}, nil},
		"zstd":         {zstded(text), []string{"zstd"}, nil},
		"gzip in br":   {brotlied(gzipped(text)), []string{"gzip", "br"}, nil},
		"short gzip":   {gzipped(canary), []string{"gzip"}, nil},
		"cut":          {gzipped(text)[:500], []string{"gzip"}, egress.ErrUndecodable},
		"no gzip":      {text, []string{"gzip"}, egress.ErrUndecodable},
		"more":         {gzipped(long) + "more", []string{"gzip"}, egress.ErrUndecodable},
		"zlib, more":   {zlibbed("{}") + canary, []string{"deflate"}, egress.ErrUndecodable},
		"br, more":     {brotlied("{}") + canary, []string{"br"}, egress.ErrUndecodable},
		"bomb of gzip": {gzipped(strings.Repeat("\x00", 80<<20)), []string{"gzip"}, egress.ErrTooDeep},
	} {
		for _, size := range []int{1 << 20, 4096, 997} {
			w, err := s.Stream(egress.Body{Codings: c.coding})
			if err != nil {
				t.Fatal(name, err)
			}
			hits, err := pushAll(w, c.data, size)
			w.Close()
			if !errors.Is(err, c.err) || err == nil && !known(hits) {
				t.Errorf("%s by %d: %v %v", name, size, hits, err)
			}
			for _, h := range hits {
				if h.End != 0 {
					t.Errorf("%s by %d: bounds %v", name, size, h)
				}
			}
		}
	}
	if _, err := s.Stream(egress.Body{Codings: []string{"x"}}); !errors.Is(err, egress.ErrUndecodable) {
		t.Errorf("unknown coding: %v", err)
	}
	w, _ := s.Stream(egress.Body{Codings: []string{"gzip"}})
	if hits, err := w.End(); len(hits) > 0 || err != nil {
		t.Errorf("empty stream: %v %v", hits, err)
	}
	w.Close()
}

// TestLongStreamInConstantMemory asserts that what a stream holds does not grow
// with its length.
func TestLongStreamInConstantMemory(t *testing.T) {
	s := New(benchValues())
	w, err := s.Stream(egress.Body{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	data := promptJSON(1 << 20)
	var first, last runtime.MemStats
	for i := range 200 {
		if hits, err := w.Push(data); len(hits) > 0 || err != nil {
			t.Fatal(hits, err)
		}
		if i == 1 {
			runtime.GC()
			runtime.ReadMemStats(&first)
		}
		if testing.Short() && i == 20 {
			break
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&last)
	if last.HeapAlloc > first.HeapAlloc+4<<20 {
		t.Errorf("heap grew from %d to %d", first.HeapAlloc, last.HeapAlloc)
	}
}
