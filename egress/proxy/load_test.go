package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// endlessly gives n bytes.
type endlessly struct{ n int64 }

func (e *endlessly) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := int(min(e.n, int64(len(p))))
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.n -= int64(n)
	return n, nil
}

// quick searches for nothing in streams: what is measured is not the tests'
// inspector.
type quick struct{}

func (quick) Stream(egress.Body) (egress.Searcher, error)      { return quick{}, nil }
func (quick) Push([]byte) ([]egress.Hit, error)                { return nil, nil }
func (quick) End() ([]egress.Hit, error)                       { return nil, nil }
func (quick) Close()                                           {}
func (quick) Text(string, bool) []egress.Hit                   { return nil }
func (quick) Body(b egress.Body) ([]byte, []egress.Hit, error) { return b.Data, nil, nil }

// 1,000 answers stream at once, each event as it comes.
func TestManyStreams(t *testing.T) {
	const many = 1000
	w := newSearched(t, route("a.example", 443))
	next := make(chan struct{})
	w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(rw, "data: 1\n\n")
		_ = http.NewResponseController(rw).Flush()
		<-next
		fmt.Fprint(rw, "data: 2\n\n")
	})
	clients := make([]*http.Client, 5) // 200 streams each
	for i := range clients {
		clients[i] = w.client(true)
		clients[i].Timeout = 5 * time.Minute
		// With a connection there, 200 requests at once do not dial 200 times.
		res, err := clients[i].Get("https://a.example/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	var first, all sync.WaitGroup
	first.Add(many)
	for i := range many {
		all.Go(func() {
			res, err := clients[i%len(clients)].Post("https://a.example/", "", strings.NewReader("{}"))
			if err != nil {
				t.Error(err)
				first.Done()
				return
			}
			defer res.Body.Close()
			buf := make([]byte, 9)
			_, err = io.ReadFull(res.Body, buf)
			first.Done()
			if rest, end := io.ReadAll(res.Body); err != nil || end != nil || string(rest) != "data: 2\n\n" {
				t.Errorf("%q %v %v", rest, err, end)
			}
		})
	}
	first.Wait() // all have their first event while none has ended
	w.used(0)    // and keep no room from others
	close(next)
	all.Wait()
	w.used(0)
}
