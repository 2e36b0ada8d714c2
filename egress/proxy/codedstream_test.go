package proxy

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/dlp"
)

// A decoder keeps a window to itself, which is searched when more comes or the
// body ends. Until then what it was made from has not left.
func TestCodedStream(t *testing.T) {
	random := make([]byte, 288<<10)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = "ABCDEFGHIJKLMNOP"[source.IntN(16)]
	}
	for kind, framing := range map[string]string{"plain": "text/plain", "framed": "application/grpc"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorldWith(t, Options{Inspector: func(v []string) egress.Inspector { return dlp.New(v) }}, streaming("a.example", 443))
			got := make(chan []byte, 1)
			w.serve("443", true, func(_ http.ResponseWriter, r *http.Request) {
				data, _ := io.ReadAll(r.Body)
				got <- data
			})
			pr, pw := io.Pipe()
			go func() {
				z, _ := gzip.NewWriterLevel(pw, gzip.HuffmanOnly)
				_, _ = z.Write(random)
				_, _ = io.WriteString(z, secret)
				_, _ = z.Write(random[:28<<10]) // with the secret less than a window
				_ = z.Flush()
				time.Sleep(100 * time.Millisecond)
				_ = z.Close()
				_ = pw.Close()
			}()
			req, _ := http.NewRequest("POST", "https://a.example/", pr)
			req.Header.Set("Content-Encoding", "gzip")
			req.Header.Set("Content-Type", framing)
			res, err := w.client(true).Do(req)
			if err != nil || res.StatusCode != 403 {
				t.Fatalf("%v %v", res, err)
			}
			// What follows brings this decoder to show all that it has.
			z, err := gzip.NewReader(bytes.NewReader(append(<-got, random...)))
			if err != nil {
				t.Fatal(err)
			}
			plain, _ := io.ReadAll(z)
			if len(plain) < 100<<10 {
				t.Errorf("only %d bytes left before the find", len(plain))
			}
			if strings.Contains(string(plain), secret) {
				t.Error("the secret has left")
			}
		})
	}
}
