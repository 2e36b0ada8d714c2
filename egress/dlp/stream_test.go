package dlp

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

func pushAll(s egress.Searcher, data string, size int) (hits []egress.Hit, err error) {
	for len(data) > 0 && err == nil {
		n := min(size, len(data))
		var found []egress.Hit
		found, err = s.Push([]byte(data[:n]))
		hits, data = append(hits, found...), data[n:]
	}
	if err == nil {
		var found []egress.Hit
		found, err = s.End()
		hits = append(hits, found...)
	}
	return hits, err
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

// TestStreamsEnd asserts that Close ends what a stream runs, at any point, and
// that it may be called again.
func TestStreamsEnd(t *testing.T) {
	s := New([]string{canary})
	before := runtime.NumGoroutine()
	data := []byte(gzipped(string(promptJSON(50_000))))
	for i := range 200 {
		w, err := s.Stream(egress.Body{Codings: []string{[]string{"gzip", "br", "deflate", "zstd"}[i%4]}})
		if err != nil {
			t.Fatal(err)
		}
		if i%3 > 0 {
			_, _ = w.Push(data[:len(data)*(i%3)/3])
		}
		if i%5 == 0 {
			_, _ = w.End()
		}
		w.Close()
		w.Close()
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
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
