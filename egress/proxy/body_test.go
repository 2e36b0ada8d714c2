package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// used waits until the budget is back at n bytes.
func (w *world) used(n int64) {
	w.t.Helper()
	b := &w.proxy.bodies
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		used, waiting := b.used, len(b.waiting)
		b.mu.Unlock()
		if used == n && waiting == 0 {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("%d bytes are held, and %d wait; want %d", used, waiting, n)
		}
	}
}

func counting(rw http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(rw, "%d %d %v", n, r.ContentLength, err)
}

// The bound of whole bodies, with and without a declared length.
func TestWholeBodyBound(t *testing.T) {
	small := route("b.example", 443)
	small.MaxBody = 10
	big := route("c.example", 443)
	big.MaxBody = 64 << 20
	w := newWorldWith(t, Options{Inspector: func([]string) egress.Inspector { return quick{} }}, route("a.example", 443), small, big)
	seen := w.serve("443", true, counting)
	both(t, func(t *testing.T, h2 bool) {
		c := w.client(h2)
		for _, host := range []string{"a.example", "c.example"} {
			for _, declared := range []bool{true, false} {
				before := len(seen.paths())
				for _, n := range []int{egress.MaxWhole, egress.MaxWhole + 1} {
					var body io.Reader = strings.NewReader(strings.Repeat("x", n))
					if !declared {
						body = io.MultiReader(body)
					}
					req, _ := http.NewRequest("POST", "https://"+host+"/", body)
					res, err := c.Do(req)
					if err != nil {
						t.Fatalf("%s %d: %v", host, n, err)
					}
					text, _ := io.ReadAll(res.Body)
					_ = res.Body.Close()
					if n == egress.MaxWhole && (res.StatusCode != 200 || string(text) != fmt.Sprintf("%d %d <nil>", n, n)) {
						t.Errorf("%s %d: %s %s", host, n, res.Status, text)
					}
					if n > egress.MaxWhole && (res.StatusCode != 413 || !strings.Contains(errorOf(t, string(text)), "- host: "+host+"\n      dlp: {stream: true}")) {
						t.Errorf("%s %d: %s %s", host, n, res.Status, text)
					}
				}
				if n := len(seen.paths()) - before; n != 1 {
					t.Errorf("%s: upstream saw %d requests", host, n)
				}
			}
		}
		res, text := do(t, c, "POST", "https://b.example/", strings.NewReader("0123456789a"))
		if res.StatusCode != 413 || !strings.Contains(text, "max_body") {
			t.Errorf("%s %s", res.Status, text)
		}
	})
	w.used(0)
}

// A secret is found that is split over chunks, and a trailer carries none out.
func TestSplitAndTrailer(t *testing.T) {
	w := newSearched(t, route("a.example", 80))
	seen := w.serve("80", false, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	head := "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n"
	var split strings.Builder
	for _, c := range secret {
		fmt.Fprintf(&split, "1\r\n%c\r\n", c)
	}
	if res, text := w.raw(head + "\r\n" + split.String() + "0\r\n\r\n"); res.StatusCode != 403 || len(seen.paths()) != 0 {
		t.Errorf("%s %s", res.Status, text)
	}
	res, text := w.raw(head + "Trailer: X-Late\r\n\r\n1\r\nx\r\n0\r\nX-Late: " + secret + "\r\n\r\n")
	if res.StatusCode != 200 {
		t.Fatalf("%s %s", res.Status, text)
	}
	if last := seen.last(); len(last.Trailer) != 0 || last.ContentLength != 1 || last.Header.Get("Trailer") != "" {
		t.Errorf("%v %v", last.Trailer, last.Header)
	}
}

// Nothing is connected to before the last byte was searched, and nothing ever
// where the body ends early.
func TestNothingLeavesEarly(t *testing.T) {
	w := newSearched(t, route("a.example", 80))
	seen := w.serve("80", false, counting)
	dialled := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.dialled) + len(w.asked)
	}
	for _, last := range []string{"z", ""} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("x", 99999))
		time.Sleep(50 * time.Millisecond)
		if n := dialled(); n != 0 {
			t.Fatalf("%d connections before the body was whole", n)
		}
		if last == "" {
			_ = c.(*net.TCPConn).CloseWrite()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != 400 || len(seen.paths()) != 0 {
				t.Errorf("%v %v; upstream saw %v", res, err, seen.paths())
			}
			continue
		}
		defer func() { // the other body is whole now
			fmt.Fprint(c, last)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != 200 || len(seen.paths()) != 1 {
				t.Errorf("%v %v; upstream saw %v", res, err, seen.paths())
			}
		}()
	}
}

// Expect: 100-continue is answered here, and asked of nobody.
func TestContinueSearched(t *testing.T) {
	w := newSearched(t, route("a.example", 80))
	seen := w.serve("80", false, counting)
	c := w.client(false)
	c.Transport.(*http.Transport).ExpectContinueTimeout = 10 * time.Second
	start := time.Now()
	res, body := do(t, c, "POST", "http://a.example/", strings.NewReader("hello"), "Expect", "100-continue")
	if res.StatusCode != 200 || body != "5 5 <nil>" || seen.last().Header.Get("Expect") != "" || time.Since(start) > 5*time.Second {
		t.Errorf("%s %q %v", res.Status, body, seen.last().Header)
	}
	if res, _ = do(t, c, "POST", "http://a.example/", strings.NewReader(secret), "Expect", "100-continue"); res.StatusCode != 403 {
		t.Error(res.Status)
	}
}

func streaming(host string, port int) egress.Route {
	r := route(host, port)
	r.DLP = &egress.DLP{Stream: true}
	return r
}

// A stream breaks at a find, never ends cleanly, and what was found has not
// left as a whole.
func TestStreamedBody(t *testing.T) {
	for _, early := range []bool{false, true} { // whether the answer begins first
		both(t, func(t *testing.T, h2 bool) {
			w := newSearched(t, streaming("a.example", 443))
			var mu sync.Mutex
			var got []byte
			var end error
			done := make(chan struct{}, 10)
			w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
				if early {
					_ = http.NewResponseController(rw).EnableFullDuplex()
					_ = http.NewResponseController(rw).Flush()
				}
				data, err := io.ReadAll(r.Body)
				mu.Lock()
				got, end = data, err
				mu.Unlock()
				done <- struct{}{}
			})
			body := strings.Repeat("x", 3<<20) + secret[:10]
			send := func(rest string) (*http.Response, error) {
				pr, pw := io.Pipe()
				req, _ := http.NewRequest("POST", "https://a.example/", pr)
				go func() {
					_, _ = io.WriteString(pw, body)
					time.Sleep(20 * time.Millisecond)
					_, _ = io.WriteString(pw, rest)
					_ = pw.Close()
				}()
				return w.client(h2).Do(req)
			}
			res, err := send("harmless")
			if err != nil || res.StatusCode != 200 {
				t.Fatalf("%v %v", res, err)
			}
			<-done
			if string(got) != body+"harmless" || end != nil {
				t.Errorf("%d bytes, %v", len(got), end)
			}
			res, err = send(secret[10:])
			if err == nil {
				text, readErr := io.ReadAll(res.Body)
				if !early && (res.StatusCode != 403 || !strings.Contains(errorOf(t, string(text)), "known value")) {
					t.Errorf("%s %s", res.Status, text)
				}
				if early && res.StatusCode == 200 && readErr == nil {
					t.Error("the answer ended as if it were whole")
				}
			} else if !early {
				t.Error(err)
			}
			<-done
			mu.Lock()
			defer mu.Unlock()
			if end == nil || bytes.Contains(got, []byte(secret[:1])) {
				t.Errorf("upstream got %d bytes, %v", len(got), end)
			}
			w.logged(2)
			w.mu.Lock()
			defer w.mu.Unlock()
			if e := w.entries[1]; e.Verdict != VerdictCut && (early || e.Verdict != VerdictDenied) || e.Detector != "known value" {
				t.Errorf("logged %+v", e)
			}
		})
	}
}

// A stream that a later step refuses lets go of its search too.
func TestStreamRefusedLater(t *testing.T) {
	var open atomic.Int64
	r := streaming("10.1.1.1", 80)
	w := newWorldWith(t, Options{Inspector: func([]string) egress.Inspector { return &openCount{n: &open} }}, r)
	res, text := do(t, w.client(false), "POST", "http://10.1.1.1/", io.MultiReader(strings.NewReader("x")))
	w.logged(1)
	if res.StatusCode != 403 || open.Load() != 0 {
		t.Errorf("%s %s, %d searches are open", res.Status, text, open.Load())
	}
	w.used(0)
}

type openCount struct {
	quick
	n *atomic.Int64
}

func (o *openCount) Stream(egress.Body) (egress.Searcher, error) {
	o.n.Add(1)
	return o, nil
}

func (o *openCount) Close() { o.n.Add(-1) }

// A small body of known length is searched as a whole on such a route too.
func TestSmallBodyOfStreamRoute(t *testing.T) {
	w := newSearched(t, streaming("a.example", 443))
	seen := w.serve("443", true, counting)
	if res, _ := do(t, w.client(true), "POST", "https://a.example/", strings.NewReader(strings.Repeat("x", 9000)+secret)); res.StatusCode != 403 {
		t.Error(res.Status)
	}
	if len(seen.paths()) != 0 {
		t.Error(seen.paths())
	}
}

// A body that hardly comes is given up, on its own stream; a quiet answer is
// not.
func TestSlowBody(t *testing.T) {
	w := newSearched(t, route("a.example", 443))
	w.proxy.limits.window = 300 * time.Millisecond
	w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = http.NewResponseController(rw).Flush()
		time.Sleep(800 * time.Millisecond)
		fmt.Fprint(rw, "late")
	})
	both(t, func(t *testing.T, h2 bool) {
		c := w.client(h2)
		quiet := make(chan string, 1)
		go func() {
			res, err := c.Post("https://a.example/", "", strings.NewReader("x"))
			if err != nil {
				quiet <- err.Error()
				return
			}
			text, err := io.ReadAll(res.Body)
			quiet <- fmt.Sprint(string(text), err)
		}()
		pr, pw := io.Pipe()
		go func() { _, _ = io.WriteString(pw, "a little") }()
		defer pw.Close()
		req, _ := http.NewRequest("POST", "https://a.example/", pr)
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != 408 || !strings.Contains(errorOf(t, string(text)), "dlp: {stream: true}") {
			t.Errorf("%s %s", res.Status, text)
		}
		if got := <-quiet; got != "late<nil>" {
			t.Error(got)
		}
	})
	w.used(0)
}

// The budget: who finds no room is told so, and what is held comes back.
func TestBodyBudget(t *testing.T) {
	w := newWorldWith(t, Options{Inspector: newSmall, BodyBudget: 2 << 20}, route("a.example", 80))
	w.proxy.limits.room = 100 * time.Millisecond
	w.serve("80", false, counting)
	open := func(n int) net.Conn {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 8000000\r\n\r\n%s", strings.Repeat("x", n))
		return c
	}
	idle := open(10) // claims much and sends little
	w.used(firstRoom)
	held := open(1<<20 - 100)
	w.used(firstRoom + 1<<20)
	res, text := do(t, w.client(false), "POST", "http://a.example/", strings.NewReader(strings.Repeat("x", 1<<20)))
	if res.StatusCode != 503 || !strings.Contains(errorOf(t, text), "bodies under way") {
		t.Errorf("%s %s", res.Status, text)
	}
	if res, _ = do(t, w.client(false), "GET", "http://a.example/", nil); res.StatusCode != 200 {
		t.Errorf("no body: %s", res.Status)
	}
	_, _ = held.Close(), idle.Close()
	w.used(0)
	if res, _ = do(t, w.client(false), "POST", "http://a.example/", strings.NewReader(strings.Repeat("x", 1<<20))); res.StatusCode != 200 {
		t.Errorf("after they left: %s", res.Status)
	}
	// 1,000 requests of every kind of end.
	var wg sync.WaitGroup
	c := w.client(false)
	for i := range 8 {
		wg.Go(func() {
			for j := range 125 {
				ctx, cancel := context.WithCancel(context.Background())
				body := io.Reader(strings.NewReader(strings.Repeat("x", 1+997*j)))
				switch (i + j) % 4 {
				case 1:
					body = strings.NewReader("x" + lookalike)
				case 2:
					body = io.MultiReader(strings.NewReader("abc"), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.ErrClosedPipe }))
				case 3:
					body = io.MultiReader(body)
				}
				req, _ := http.NewRequestWithContext(ctx, "POST", "http://a.example/", body)
				if res, err := c.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	w.used(0)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
