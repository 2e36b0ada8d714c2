package sidecar

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// program is the released program, built once, as a sidecar runs it.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bb")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "bb")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "../../cmd/bb")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return file, nil
})

// process is a sidecar as a process of its own.
type process struct {
	t    testing.TB
	opts Options
	pid  int
}

func startProcess(t testing.TB) *process {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, opts: optionsOf(shortDir(t))}
	for _, d := range []string{p.opts.DoorSocket, p.opts.ControlSocket} {
		if err := os.MkdirAll(filepath.Dir(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var said syncBuffer
	cmd := exec.Command(file, "sidecar", "run", "--door", p.opts.DoorSocket, "--control", p.opts.ControlSocket, "--ca", p.opts.CADir)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	for end := time.Now().Add(deadline); !strings.Contains(said.String(), "unconfigured"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no state line: %s", said.String())
		}
	}
	return p
}

func (p *process) apply(doc egress.Document) {
	p.t.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		p.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Ctl(p.t.Context(), Control{Socket: p.opts.ControlSocket}, CommandApply, bytes.NewReader(data), &out); err != nil {
		p.t.Fatalf("apply: %v %s", err, out.String())
	}
}

// roots are what a bottle of this sidecar trusts.
func (p *process) roots() *x509.CertPool {
	p.t.Helper()
	cert, err := os.ReadFile(filepath.Join(p.opts.CADir, egress.CACertFile))
	if err != nil {
		p.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return roots
}

// rss is the resident memory in MiB, without what is only mapped from files.
func (p *process) rss() (all, anonymous float64) {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 {
			all = kb / 1024
		}
		if n, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kb); n == 1 {
			anonymous = kb / 1024
		}
	}
	if all == 0 {
		p.t.Fatal("the process has no memory: it is gone")
	}
	return all, anonymous
}

// door opens a connection as bb init does.
func (p *process) door(ctx context.Context) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", p.opts.DoorSocket)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, egress.Preface(egress.ServiceProxy)); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// idle opens n connections that were of use once and are not now.
func (p *process) idle(n int, address string) {
	p.t.Helper()
	roots := p.roots()
	host, _, _ := net.SplitHostPort(address) // "" means plain
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			c, err := p.door(p.t.Context())
			if err != nil {
				p.t.Error(err)
				return
			}
			p.t.Cleanup(func() { _ = c.Close() })
			if address == "" {
				_, err = io.WriteString(c, "GET http://_egress.local/ HTTP/1.1\r\nHost: _egress.local\r\n\r\n")
			} else {
				_, err = fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address)
			}
			if err != nil {
				p.t.Error(err)
				return
			}
			res, err := http.ReadResponse(bufio.NewReaderSize(c, 16), &http.Request{Method: http.MethodConnect})
			if err != nil || res.StatusCode != http.StatusOK {
				p.t.Errorf("%v %v", res, err)
				return
			}
			if address == "" {
				return
			}
			t := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: host})
			if err := t.Handshake(); err != nil {
				p.t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestMemory holds a real sidecar to what is promised: under 34 MB idle (half of
// them are pages of the program, which all sidecars share), under
// 80 MB with a thousand idle connections.
func TestMemory(t *testing.T) {
	const mb = 1e6 / (1 << 20)
	up := newBenchUpstream(t)
	p := startProcess(t)
	p.apply(up.document(100))
	time.Sleep(200 * time.Millisecond) // nothing runs any more
	idle, anon := p.rss()
	t.Logf("idle with 100 rules: %.1f MiB, %.1f of them its own", idle, anon)
	if idle > 34*mb {
		t.Errorf("an idle sidecar has %.1f MiB", idle)
	}
	p.idle(1000, "")
	many, anon := p.rss()
	t.Logf("with 1,000 idle connections: %.1f MiB, %.1f of them its own", many, anon)
	if many > 80*mb {
		t.Errorf("with 1,000 idle connections a sidecar has %.1f MiB", many)
	}
}

// TestMemoryOfTunnels is TestMemory for connections with TLS in them.
func TestMemoryOfTunnels(t *testing.T) {
	const mb = 1e6 / (1 << 20)
	up := newBenchUpstream(t)
	p := startProcess(t)
	p.apply(up.document(100))
	p.idle(1000, net.JoinHostPort(up.host, up.port))
	many, anon := p.rss()
	t.Logf("with 1,000 idle tunnels: %.1f MiB, %.1f of them its own", many, anon)
	if many > 80*mb {
		t.Errorf("with 1,000 idle tunnels a sidecar has %.1f MiB", many)
	}
}

// TestParallelStreams reads a thousand server-sent streams at once through one
// sidecar: every event comes, in order, and none waits for others.
func TestParallelStreams(t *testing.T) {
	const streams, events = 1000, 20
	up := newBenchUpstream(t)
	p := startProcess(t)
	p.apply(up.document(100))
	roots := p.roots()
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: "egress:9099"}),
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return p.door(ctx) },
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 2 * time.Minute}
	var all sync.WaitGroup
	opening := make(chan struct{}, 32)
	open := make(chan struct{})
	var opened sync.WaitGroup
	opened.Add(streams)
	worst := make([]time.Duration, streams)
	for n := range streams {
		opening <- struct{}{}
		all.Go(func() {
			res, err := client.Get(up.url + fmt.Sprintf("/stream?events=%d&every=500ms", events))
			<-opening
			opened.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			<-open // all of them are under way
			lines := bufio.NewScanner(res.Body)
			next := 0
			for lines.Scan() {
				var number int
				var at int64
				if k, _ := fmt.Sscanf(lines.Text(), "data: %d %d", &number, &at); k != 2 {
					continue
				}
				if number != next {
					t.Errorf("stream %d: event %d is number %d", n, next, number)
					return
				}
				if next++; next > events/2 { // those that nobody waited with
					worst[n] = max(worst[n], time.Since(time.Unix(0, at)))
				}
			}
			if next != events {
				t.Errorf("stream %d: %d events of %d: %v", n, next, events, lines.Err())
			}
		})
	}
	opened.Wait()
	close(open)
	rss, anon := p.rss()
	all.Wait()
	slowest := time.Duration(0)
	for _, d := range worst {
		slowest = max(slowest, d)
	}
	t.Logf("%d streams: %.1f MiB, %.1f of them its own; an event took at most %v", streams, rss, anon, slowest)
	if slowest > 5*time.Second {
		t.Errorf("an event took %v", slowest)
	}
}
