package dlp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

// benchValues are as many as a bottle has: a few tokens and the canary.
func benchValues() []string {
	r := rand.New(rand.NewPCG(3, 4))
	list := []string{canary}
	for _, prefix := range []string{"ghp_", "sk-ant-oat01-", "glpat-", "npm_", "user:"} {
		list = append(list, prefix+randomValue(r, 40))
	}
	return list
}

func randomValue(r *rand.Rand, n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

const code = `func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		http.Error(w, "who are you?\n", http.StatusUnauthorized) // 401 & nothing else
		return
	}
	for i, name := range s.names {
		fmt.Fprintf(w, "%d: %s (%.1f%%)\n", i, name, 100*s.share[i])
	}
}
`

const prose = `Please look at /srv/app/internal/server/handlers/authorization_test.go again. The key is read from the
environment, and the token's expiry is checked "twice": once when it is loaded, and again before each call.
`

// promptJSON is a turn of an agent: n bytes or a little more of text in JSON.
func promptJSON(n int) []byte {
	var text strings.Builder
	for i := 0; text.Len() < n*9/10; i++ {
		fmt.Fprintf(&text, "%s\n```go\n%s```\nline %d, commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b\n", prose, code, i)
	}
	out, err := json.Marshal(map[string]any{
		"model": "m", "stream": true,
		"messages": []map[string]string{{"role": "user", "content": text.String()}},
	})
	if err != nil {
		panic(err)
	}
	return out
}

// imageJSON is a message with an image of n bytes.
func imageJSON(n int) []byte {
	r := rand.New(rand.NewPCG(5, 6))
	image := make([]byte, n)
	for i := range image {
		image[i] = byte(r.Uint32())
	}
	return []byte(`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` +
		base64.StdEncoding.EncodeToString(image) + `"}}`)
}

const head = `/v1/repos/example/project/pulls/1234/comments?per_page=100&page=2
application/vnd.example+json; charset=utf-8
agent-cli/2.1.4 (linux; x64) node/22.3.0
gzip, deflate, br
3f2b8c1a-77de-4c52-9a10-5d8e0b6f4c21
W/"5f1d7c9e0a3b4d6f8c2e1a0b9d7f5e3c"
en-US,en;q=0.9
text/event-stream, application/json
https://docs.example.com/guide/getting-started
2026-01-01
stable,2024-02-15,prompt-caching-2024-07-31
keep-alive
`

func benchmarkBody(b *testing.B, data []byte) {
	s := New(benchValues())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		_, hits, err := s.Body(egress.Body{MediaType: "application/json", Data: data})
		if len(hits) > 0 || err != nil {
			b.Fatal(hits, err)
		}
	}
}

func BenchmarkPrompt(b *testing.B) { benchmarkBody(b, promptJSON(500_000)) }
func BenchmarkImage(b *testing.B)  { benchmarkBody(b, imageJSON(1_000_000)) }
func BenchmarkSmall(b *testing.B)  { benchmarkBody(b, promptJSON(1_000)) }

func BenchmarkHead(b *testing.B) {
	s := New(benchValues())
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		if hits := s.Text(head, false); len(hits) > 0 {
			b.Fatal(hits)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New(benchValues())
	}
}

func BenchmarkStream(b *testing.B) {
	s := New(benchValues())
	data := promptJSON(1 << 20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		w, err := s.Stream(egress.Body{})
		if err != nil {
			b.Fatal(err)
		}
		for p := data; len(p) > 0; p = p[min(32<<10, len(p)):] {
			if hits, err := w.Push(p[:min(32<<10, len(p))]); len(hits) > 0 || err != nil {
				b.Fatal(hits, err)
			}
		}
		w.Close()
	}
}
