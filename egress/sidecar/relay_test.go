package sidecar

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// companyProxy is a parent: CONNECT and plain http, behind a login.
type companyProxy struct {
	login           string // "" wants none
	plain, connects atomic.Int64
	to              string // where every CONNECT leads
}

func (p *companyProxy) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	want := ""
	if p.login != "" {
		want = "Basic " + base64.StdEncoding.EncodeToString([]byte(p.login))
	}
	if got := q.Header.Get("Proxy-Authorization"); got != want {
		w.Header().Set("Proxy-Authenticate", "Basic")
		http.Error(w, "you sent "+got, http.StatusProxyAuthRequired)
		return
	}
	if q.Method != http.MethodConnect {
		p.plain.Add(1)
		_, _ = io.WriteString(w, "plain "+q.URL.String())
		return
	}
	p.connects.Add(1)
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, "no", http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(up, rw) }()
	_, _ = io.Copy(down, up)
}

// startRelay returns a client that goes through it, what it said, and its end.
func startRelay(t *testing.T, q egress.RelayRequest) (*http.Client, *syncBuffer, io.Closer, chan error) {
	t.Helper()
	in, hang := io.Pipe()
	out, w := io.Pipe()
	said := &syncBuffer{}
	ended := make(chan error, 1)
	go func() {
		err := Relay(t.Context(), "127.0.0.1:0", in, w, said)
		w.CloseWithError(errors.Join(err, io.EOF))
		ended <- err
	}()
	request, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hang.Write(append(request, '\n')); err != nil {
		t.Fatal(err)
	}
	word, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%q, %v", word, err)
	}
	proxy := &url.URL{Scheme: "http", Host: strings.Fields(word)[1]}
	t.Cleanup(func() { _ = hang.Close() })
	transport := &http.Transport{Proxy: http.ProxyURL(proxy)}
	return &http.Client{Transport: transport, Timeout: deadline}, said, hang, ended
}

func TestRelay(t *testing.T) {
	const login = "user:pass:with-colon+9f3c"
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.WriteString(w, "site "+q.Host+q.URL.Path+q.Header.Get("Proxy-Authorization"))
	}))
	defer site.Close()
	for name, tt := range map[string]struct {
		secure       bool
		wants, gives string
		ok           bool
	}{
		"a login":            {false, login, login, true},
		"no login":           {false, "", "", true},
		"a wrong login":      {false, "other:word", login, false},
		"tls":                {true, login, login, true},
		"tls, a wrong login": {true, "other:word", login, false},
	} {
		t.Run(name, func(t *testing.T) {
			parent := &companyProxy{login: tt.wants, to: site.Listener.Addr().String()}
			server := httptest.NewUnstartedServer(parent)
			q := egress.RelayRequest{Credentials: tt.gives}
			if tt.secure {
				server.StartTLS()
				q.Roots = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
			} else {
				server.Start()
			}
			defer server.Close()
			q.URL = server.URL
			client, said, hang, ended := startRelay(t, q)
			client.Transport.(*http.Transport).TLSClientConfig = site.Client().Transport.(*http.Transport).TLSClientConfig

			get := func(url string) (string, error) {
				resp, err := client.Get(url)
				if err != nil {
					return "", err
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if resp.StatusCode != http.StatusOK {
					err = errors.New(resp.Status)
				}
				return string(body), err
			}
			secure, err := get("https://example.com/a")
			if want := "site example.com/a"; (err == nil) != tt.ok || tt.ok && secure != want {
				t.Errorf("https: %q, %v", secure, err)
			}
			plain, err := get("http://deb.example.com/b?c=d")
			if want := "plain http://deb.example.com/b?c=d"; (err == nil) != tt.ok || tt.ok && plain != want {
				t.Errorf("http: %q, %v", plain, err)
			}
			if tt.ok && (parent.connects.Load() != 1 || parent.plain.Load() != 1) {
				t.Errorf("%d tunnels, %d plain", parent.connects.Load(), parent.plain.Load())
			}
			if !tt.ok && !strings.Contains(said.String(), "407") {
				t.Errorf("it says %q", said.String())
			}
			encoded := base64.StdEncoding.EncodeToString([]byte(login))
			if all := said.String() + secure + plain; strings.Contains(all, "9f3c") || strings.Contains(all, encoded) {
				t.Errorf("it tells the login: %s", all)
			}
			_ = hang.Close()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(deadline):
				t.Error("it goes on without its input")
			}
		})
	}
}

func TestRelayRefuses(t *testing.T) {
	for _, request := range []string{
		"", "{\n", "{}\n", `{"url":"ftp://p:1"}` + "\n", `{"url":"http://p"}` + "\n", `{"url":"http://u:9f3c@p:1"}` + "\n",
		`{"url":"http://p:1","credentials":"u:9f3c\r\nX: y"}` + "\n", `{"url":"http://p:1","roots":"9f3c"}` + "\n",
	} {
		var out bytes.Buffer
		err := Relay(t.Context(), "127.0.0.1:0", strings.NewReader(request), &out, io.Discard)
		if err == nil || out.Len() > 0 || strings.Contains(err.Error(), "9f3c") {
			t.Errorf("%q: %q, %v", request, out.String(), err)
		}
	}
	client, _, _, _ := startRelay(t, egress.RelayRequest{URL: "http://127.0.0.1:1", Credentials: "user:not-the-login"})
	address, err := client.Transport.(*http.Transport).Proxy(&http.Request{})
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "TRACE http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x:99999 HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT a.test:443 HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", address.Host)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(deadline))
		_, _ = io.WriteString(conn, request)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode < 400 {
			t.Errorf("%q: %+v, %v", request, resp, err)
		}
		_ = conn.Close()
	}
}
