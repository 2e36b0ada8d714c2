package docker

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// farEngine is the machine's engine behind a proxy that counts calls and holds
// each for as long as a far engine would.
type farEngine struct {
	host  string
	delay time.Duration
	mu    sync.Mutex
	calls []string
}

func newFarEngine(t *testing.T, delay time.Duration) *farEngine {
	t.Helper()
	at, err := locate("", func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	f := &farEngine{delay: delay, host: "unix://" + filepath.Join(t.TempDir(), "far.sock")}
	l, err := net.Listen("unix", strings.TrimPrefix(f.host, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", at.target)
	}}
	proxy.FlushInterval = -1
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.calls = append(f.calls, r.Method+" "+r.URL.Path)
		f.mu.Unlock()
		time.Sleep(f.delay)
		proxy.ServeHTTP(w, r)
	})}
	go server.Serve(l) //nolint:errcheck // ends with the test
	t.Cleanup(func() { server.Close() })
	return f
}

var idInPath = regexp.MustCompile(`[0-9a-f]{12,}|bb-[^/]+`)

// step runs one call of the driver and returns how many round trips it took,
// and how many of them one after the other.
func (f *farEngine) step(t *testing.T, name string, call func() error) int {
	t.Helper()
	f.mu.Lock()
	f.calls = nil
	f.mu.Unlock()
	began := time.Now()
	if err := call(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	deep := float64(time.Since(began)) / float64(f.delay)
	var list []string
	for _, c := range f.calls {
		list = append(list, idInPath.ReplaceAllString(c, "*"))
	}
	t.Logf("%-14s %2d calls, %4.1f deep: %s", name, len(f.calls), deep, strings.Join(list, ", "))
	return len(f.calls)
}

// TestRoundTrips holds the driver to what a far engine can bear: the number of
// calls of each step. How many of them go one after the other is logged, not
// asserted: it is a time.
func TestRoundTrips(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	secrets := newSecrets(d, s)
	ctx := t.Context()
	if err := d.Prepare(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.EnsureImage(ctx, s, nil); err != nil {
		t.Fatal(err)
	}
	f := newFarEngine(t, 200*time.Millisecond)
	far, err := New(Options{
		Host: f.host, Owner: d.opts.Owner, Key: d.opts.Key, Version: "test", Binary: testBinary, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	observe := func() error {
		_, err := far.Observe(ctx, plan.Query{Owner: d.opts.Owner, Specs: []*spec.Spec{s}})
		return err
	}
	for _, step := range []struct {
		name  string
		calls int
		call  func() error
	}{
		{"check", 2, func() error { return far.Check(ctx) }},
		{"observe", 7, observe},
		{"prepare", 5, func() error { return far.Prepare(ctx, nil) }},
		{"image", 2, func() error { return far.EnsureImage(ctx, s, nil) }},
		{"create sidecar", 9, func() error { return far.CreateSidecar(ctx, s) }},
		{"configure", 4, func() error { return far.Configure(ctx, s, secrets, nil) }},
		{"create agent", 9, func() error { return far.CreateAgent(ctx, s) }},
		{"start agent", 8, func() error { return far.StartAgent(ctx, s) }},
		{"provision", 6, func() error { return far.Provision(ctx, s, secrets, []string{spec.PartPrompt}) }},
		{"observe again", 8, observe},
		{"remove agent", 2, func() error { return far.RemoveAgent(ctx, s.ID) }},
		{"remove sidecar", 2, func() error { return far.RemoveSidecar(ctx, s.ID) }},
		{"remove volumes", 4, func() error { return far.RemoveVolumes(ctx, s.ID) }},
	} {
		calls := f.step(t, step.name, step.call)
		if calls > step.calls {
			t.Errorf("%s takes %d calls, want at most %d", step.name, calls, step.calls)
		}
	}
}
