package sidecar

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// room is less than what a sidecar's container has, in MiB.
const room = 480

// peak is the largest resident memory so far, in MiB.
func (p *process) peak() float64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	p.t.Fatal("the process has no memory: it is gone")
	return 0
}

// TestFloods: an agent can tire its own sidecar, and not have the engine kill it.
func TestFloods(t *testing.T) {
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	line := []byte(strings.Repeat(`{"a":"\u0061b"} `, 1<<10))
	for n := 0; n < 30<<20; n += len(line) {
		_, _ = z.Write(line)
	}
	_ = z.Close()
	for name, c := range map[string]struct {
		many   int
		body   []byte
		coding string
	}{
		"large bodies":  {64, []byte(strings.Repeat(`{"a":"\u0061b"} `, 8<<16)), ""},
		"small to huge": {64, bomb.Bytes(), "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			up := newBenchUpstream(t)
			p := startProcess(t)
			p.apply(up.document(10))
			transport := &http.Transport{
				Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: "egress:9099"}),
				DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return p.door(ctx) },
				TLSClientConfig: &tls.Config{RootCAs: p.roots()},
			}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: time.Minute}
			var all sync.WaitGroup
			for range c.many {
				all.Go(func() {
					req, _ := http.NewRequest("POST", up.url+"/512", bytes.NewReader(c.body))
					req.Header.Set("Content-Encoding", c.coding)
					if c.coding == "" {
						req.Header.Del("Content-Encoding")
					}
					if res, err := client.Do(req); err == nil { // or there was no room
						_, _ = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
				})
			}
			all.Wait()
			got := p.peak()
			t.Logf("%.1f MiB at most", got)
			if got > room {
				t.Errorf("a sidecar had %.1f MiB", got)
			}
			if res, err := client.Get(up.url + "/512"); err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %v %v", res, err)
			}
		})
	}
}
