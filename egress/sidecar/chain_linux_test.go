package sidecar

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// outsideSeen is one request as it arrived outside.
type outsideSeen struct{ host, body, authorization string }

// outsideWorld is the upstreams of a chain: TLS for every name, and plain.
type outsideWorld struct {
	secure, plain *httptest.Server
	mu            sync.Mutex
	seen          []outsideSeen
}

func newOutside(t *testing.T) *outsideWorld {
	t.Helper()
	w := &outsideWorld{}
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.seen = append(w.seen, outsideSeen{r.Host, string(body), r.Header.Get("Authorization")})
		w.mu.Unlock()
		if r.URL.Path == "/forbidden" {
			http.Error(rw, "not yours", http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(rw, "arrived")
	})
	w.secure, w.plain = httptest.NewTLSServer(handler), httptest.NewServer(handler)
	t.Cleanup(w.secure.Close)
	t.Cleanup(w.plain.Close)
	return w
}

// took returns what has arrived since the last call.
func (w *outsideWorld) took() []outsideSeen {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// hosts writes where the stand-in finds names. httptest's certificate is for
// example.com and its like.
func (w *outsideWorld) hosts(t *testing.T) string {
	t.Helper()
	secure, plain := w.secure.Listener.Addr().String(), w.plain.Listener.Addr().String()
	path := filepath.Join(t.TempDir(), "hosts")
	lines := "www.example.com:443 " + secure + "\napi.example.com:443 " + secure +
		"\nplain.example.com:80 " + plain + "\ninside.example.com:443 internal\n"
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// agent speaks to the sidecar as the agent does: through the door, to a proxy.
func (r *running) agent(t *testing.T) *http.Client {
	t.Helper()
	ca, err := r.ctl(t, CommandCA, nil)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	roots := x509.NewCertPool()
	if err := json.Unmarshal(ca.Data, &text); err != nil || !roots.AppendCertsFromPEM([]byte(text)) {
		t.Fatalf("%s: %v", ca.Data, err)
	}
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: "egress:9099"}),
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", r.opts.DoorSocket)
			if err == nil {
				_, err = io.WriteString(conn, egress.Preface(egress.ServiceProxy))
			}
			return conn, err
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: deadline}
}

// The whole chain over real TLS: an agent, the sidecar, the stand-in for
// pipelock, and upstreams that the stand-in alone can find.
func TestChain(t *testing.T) {
	outside := newOutside(t)
	binary := standin(t, "hostsFile="+outside.hosts(t))
	r := piped(t, binary)
	token := "ghp_" + strings.Repeat("a1B2", 9) // it would be blocked elsewhere
	chain := egress.Document{
		Version: 1, Instance: "bb-dev-0a1b2c", Live: map[string]string{"egress": "v1:aa"}, Pipelock: true,
		UpstreamCA: string(pemOf(outside.secure.Certificate())),
		Tokens:     map[string]egress.Token{"EGRESS_TOKEN_0": {Value: token, Digest: "d0"}},
		Routes: []egress.Route{
			{Host: "www.example.com", Port: 443, Source: "a", Auth: &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}},
			{Host: "api.example.com", Port: 443, Source: "b", TLSPassthrough: true},
			{Host: "inside.example.com", Port: 443, Source: "c", TLSPassthrough: true},
			{Host: "plain.example.com", Port: 80, Source: "d"},
		},
	}
	doc, err := json.Marshal(chain)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ctl(t, CommandApply, doc); err != nil {
		t.Fatal(err)
	}
	client := r.agent(t)
	const leak = "standin-secret-1234"
	for name, c := range map[string]struct {
		url, body, header string
		status            int
		says, note        string
		arrives           bool
	}{
		"intercepted, with its credential": {url: "https://www.example.com/", body: "hello", status: 200, says: "arrived", arrives: true},
		"passed through":                   {url: "https://api.example.com/", body: leak, status: 200, says: "arrived", arrives: true},
		"plain":                            {url: "http://plain.example.com/", body: "hello", status: 200, says: "arrived", arrives: true},
		"a secret in a body": {
			url: "https://www.example.com/", body: leak, status: 403, says: "blocked: request body contains secret: Token",
			note: "egress: pipelock blocked this request, unless www.example.com says so itself",
		},
		"a secret in a header": {
			url: "https://www.example.com/", header: leak, status: 403, says: "blocked: request header contains secret",
			note: "egress: pipelock blocked this request, unless www.example.com says so itself",
		},
		"a secret in plain": {
			url: "http://plain.example.com/", body: leak, status: 403, says: "blocked: request body contains secret: Token",
			note: "egress: pipelock blocked this request, unless plain.example.com says so itself",
		},
		"the upstream's own refusal": {url: "https://www.example.com/forbidden", status: 403, says: "not yours", arrives: true},
		"a refused tunnel": {
			url: "https://inside.example.com/", status: 403, says: `{"error":"egress: pipelock refused inside.example.com: 403 Forbidden`,
		},
		"not listed": {url: "https://other.example.com/", status: 0},
	} {
		outside.took()
		req, err := http.NewRequest(http.MethodPost, c.url, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Note", c.header)
		res, err := client.Do(req)
		if c.status == 0 {
			if err == nil {
				t.Errorf("%s: %s", name, res.Status)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		page, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.status || !strings.HasPrefix(string(page), c.says) || res.Header.Get("X-Egress-Note") != c.note {
			t.Errorf("%s: %d %q, note %q", name, res.StatusCode, page, res.Header.Get("X-Egress-Note"))
		}
		seen := outside.took()
		if (len(seen) == 1) != c.arrives || len(seen) > 1 {
			t.Errorf("%s: outside saw %v", name, seen)
			continue
		}
		if c.arrives && strings.Contains(c.url, "www.") && seen[0].authorization != "Bearer "+token {
			t.Errorf("%s: the credential was not put on: %q", name, seen[0].authorization)
		}
		if c.arrives && !strings.Contains(c.url, "www.") && seen[0].authorization != "" {
			t.Errorf("%s: a credential that is another's: %q", name, seen[0].authorization)
		}
	}
	if strings.Contains(r.stderr.String(), token) || strings.Contains(r.stderr.String(), leak) {
		t.Errorf("the sidecar says too much:\n%s", r.stderr)
	}
	chainBreaks(t, r, client, binary, outside)
}

// chainBreaks kills the last hop: nothing passes until it is back.
func chainBreaks(t *testing.T, r *running, client *http.Client, binary string, outside *outsideWorld) {
	t.Helper()
	get := func() (int, string) {
		res, err := client.Get("https://www.example.com/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		page, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(page)
	}
	outside.took()
	if err := os.Rename(binary, binary+"-"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(processesOf(binary + "-")[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(deadline); len(processesOf(binary+"-")) > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	for range 3 {
		if code, page := get(); code != http.StatusBadGateway || !strings.Contains(page, `"egress: `) {
			t.Errorf("without a hop: %d %q", code, page)
		}
	}
	if seen := outside.took(); len(seen) > 0 {
		t.Errorf("without a hop outside saw %v", seen)
	}
	if err := os.Rename(binary+"-", binary); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(deadline); ; time.Sleep(20 * time.Millisecond) {
		if code, page := get(); code == http.StatusOK && page == "arrived" {
			break
		} else if time.Now().After(end) {
			t.Fatalf("it does not come back: %d %q\n%s", code, page, r.stderr)
		}
	}
}
