package dlp

import (
	"runtime"
	"sync"
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

// TestAtOnce has one scanner search for many at a time, as a sidecar does.
func TestAtOnce(t *testing.T) {
	s := New([]string{canary})
	text := string(promptJSON(20_000)) + canary
	var work sync.WaitGroup
	for i := range 16 {
		work.Go(func() {
			for name, of := range map[string]func(string) string{"gzip": gzipped, "br": brotlied, "zstd": zstded, "deflate": zlibbed} {
				if _, hits, err := s.Body(body0("", of(text), name)); err != nil || !known(hits) {
					t.Errorf("%d: %s: %v %v", i, name, hits, err)
				}
				w, err := s.Stream(egress.Body{Codings: []string{name}})
				if err != nil {
					t.Error(err)
					return
				}
				if hits, err := pushAll(w, of(text), 4096); err != nil || !known(hits) {
					t.Errorf("%d: stream of %s: %v %v", i, name, hits, err)
				}
				w.Close()
				if !known(s.Text(std64(canary), false)) {
					t.Errorf("%d: not found in a head", i)
				}
			}
		})
	}
	work.Wait()
}
