package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// A body's room is free as soon as it has left, however long its answer takes;
// a small one's once the answer has begun.
func TestRoomIsFreeWhenSent(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		w := newSearched(t, route("a.example", 443))
		arrived, release := make(chan int64, 10), make(chan struct{})
		w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/begins" {
				_ = http.NewResponseController(rw).EnableFullDuplex()
				_ = http.NewResponseController(rw).Flush()
			}
			n, _ := io.Copy(io.Discard, r.Body)
			arrived <- n
			<-release
		})
		c := w.client(h2)
		ended := make(chan error, 10)
		for path, size := range map[string]int{"/silent": 4 << 20, "/begins": 100 << 10} {
			go func() {
				res, err := c.Post("https://a.example"+path, "text/plain", strings.NewReader(strings.Repeat("x", size)))
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
				}
				ended <- err
			}()
			if n := <-arrived; n != int64(size) {
				t.Errorf("%s: %d bytes arrived", path, n)
			}
			w.used(0)
		}
		close(release)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		w.used(0)
	})
}

// A small body is sent once more where the upstream hung up on a connection
// before it looked at it.
func TestSmallBodyIsSentAgain(t *testing.T) {
	w := newSearched(t, route("a.example", 80))
	var n atomic.Int64
	w.serve("80", false, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if n.Add(1) == 2 { // idempotent by its header, and nothing was answered
			panic(http.ErrAbortHandler)
		}
		_, _ = rw.Write(body)
	})
	for range 2 {
		res, text := do(t, w.client(false), "POST", "http://a.example/", strings.NewReader("hello"), "Idempotency-Key", "1")
		if res.StatusCode != 200 || text != "hello" {
			t.Errorf("%s %q", res.Status, text)
		}
	}
	if n.Load() != 3 {
		t.Errorf("%d requests", n.Load())
	}
	w.used(0)
}

func TestSentBody(t *testing.T) {
	b := &budget{size: 100, used: 10}
	s := &sentBody{b: b, n: 10, data: []byte("0123456789"), again: true}
	first, _ := s.reader()
	half := make([]byte, 5)
	if _, err := io.ReadFull(first, half); err != nil {
		t.Fatal(err)
	}
	second, _ := s.reader()
	if _, err := first.Read(half); err == nil { // or the second would miss it
		t.Error("an attempt that was given up reads on")
	}
	got, err := io.ReadAll(second)
	if err != nil || !bytes.Equal(got, []byte("0123456789")) || b.used != 10 {
		t.Errorf("%q %v, %d used", got, err, b.used)
	}
	s.begun()
	if b.used != 0 {
		t.Errorf("%d used after the answer began", b.used)
	}
	if _, err := s.reader(); err == nil {
		t.Error("it can be sent again after the answer began")
	}
	s.end()
	if n, err := second.Read(half); n != 0 || err != io.EOF || b.used != 0 {
		t.Errorf("%d %v, %d used", n, err, b.used)
	}
	third := &sentBody{b: b, data: []byte("x")}
	r, _ := third.reader()
	third.end()
	if _, err := r.Read(half); err == nil || err == io.EOF {
		t.Errorf("an end that is none: %v", err)
	}
}
