//go:build !race

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// 200 MB up on a route that streams, and 200 MB down, in constant memory.
func TestLargeInConstantMemory(t *testing.T) {
	const size = 200 << 20
	w := newWorldWith(t, Options{Inspector: func([]string) egress.Inspector { return quick{} }}, streaming("a.example", 443))
	w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n == 0 {
			_, _ = io.Copy(rw, &endlessly{size})
			return
		}
		fmt.Fprint(rw, n)
	})
	most := make(chan uint64, 1)
	stop := make(chan struct{})
	go func() {
		var top uint64
		for {
			select {
			case <-stop:
				most <- top
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				top = max(top, m.HeapInuse)
			}
		}
	}()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	c := w.client(true)
	c.Timeout = time.Minute
	req, _ := http.NewRequest("POST", "https://a.example/", &endlessly{size})
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(res.Body); string(text) != fmt.Sprint(size) {
		t.Errorf("%s %s", res.Status, text)
	}
	res, err = c.Get("https://a.example/")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
		t.Errorf("%d %v", n, err)
	}
	close(stop)
	if top := <-most; top > before.HeapInuse+32<<20 {
		t.Errorf("from %d to %d bytes of heap", before.HeapInuse, top)
	}
}
