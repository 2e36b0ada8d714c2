package sidecar

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
)

const (
	// relayLife is how long a relay lives that nobody ends.
	relayLife = 3 * time.Hour
	// relayTimeout bounds what the parent may take to connect.
	relayTimeout = 60 * time.Second
	// relayHead bounds the head of its answer to CONNECT.
	relayHead = 64 << 10
)

// Relay is a proxy for image builds that adds a login to what it hands to a
// parent proxy, so that no build holds it. It ends with its standard input.
func Relay(ctx context.Context, address string, stdin io.Reader, stdout, stderr io.Writer) error {
	if err := harden(); err != nil {
		return err
	}
	log.SetOutput(io.Discard)
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return errors.New("no request for the relay")
	}
	var q egress.RelayRequest
	if err := json.Unmarshal(line, &q); err != nil {
		return errors.New("malformed request for the relay") // the text may hold the credentials
	}
	r, err := newRelay(q, (&notes{w: stderr, held: &vault{}, repeat: func() {}}).add)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	ln, err := listen.Listen(ctx, "tcp4", address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: r, ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	ctx, cancel := context.WithTimeout(ctx, relayLife)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if _, err := fmt.Fprintln(stdout, egress.RelayReady, ln.Addr()); err != nil {
		return err
	}
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// relay is its handler.
type relay struct {
	parent *url.URL
	login  string // value of Proxy-Authorization, or ""
	tls    *tls.Config
	plain  *httputil.ReverseProxy
	note   func(format string, args ...any)
}

func newRelay(q egress.RelayRequest, note func(string, ...any)) (*relay, error) {
	parent, err := url.Parse(q.URL)
	if err != nil || parent.Scheme != "http" && parent.Scheme != "https" || parent.Port() == "" || parent.User != nil {
		return nil, errors.New("a parent proxy is http://HOST:PORT or https://HOST:PORT")
	}
	if q.Credentials != "" {
		if err := egress.CheckToken(q.Credentials); err != nil {
			return nil, fmt.Errorf("credentials of the parent proxy: %w", err)
		}
	}
	r := &relay{parent: parent, tls: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: parent.Hostname()}}
	login := *parent
	if q.Credentials != "" {
		r.login = "Basic " + base64.StdEncoding.EncodeToString([]byte(q.Credentials))
		user, password, _ := strings.Cut(q.Credentials, ":")
		login.User = url.UserPassword(user, password)
	}
	hidden := map[string]secret{"": {value: q.Credentials}, "login": {value: strings.TrimPrefix(r.login, "Basic ")}}
	r.note = func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); q.Credentials == "" || !quotes(text, hidden) {
			note("%s", text)
		}
	}
	if strings.TrimSpace(q.Roots) != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(q.Roots)) {
			return nil, errors.New("roots for the parent proxy hold no certificate")
		}
		r.tls.RootCAs = pool
	}
	// The transport adds the login of the proxy's URL to requests for plain http.
	r.plain = &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.Host = p.In.Host
		},
		Transport: &http.Transport{
			Proxy:               http.ProxyURL(&login),
			TLSClientConfig:     r.tls,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     time.Minute,
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			r.note("the parent proxy: %v", err)
			http.Error(w, "bb: the parent proxy cannot be reached", http.StatusBadGateway)
		},
		ModifyResponse: func(a *http.Response) error {
			if a.StatusCode == http.StatusProxyAuthRequired {
				r.note("the parent proxy refuses the login (407)")
				_ = a.Body.Close() // what it says may quote the login
				a.Body, a.ContentLength = http.NoBody, 0
				a.Header = http.Header{"Content-Length": {"0"}}
			}
			a.Header.Del("Proxy-Authenticate")
			return nil
		},
	}
	return r, nil
}

func (r *relay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	switch {
	case q.Method == http.MethodConnect:
		r.connect(w, q)
	case q.Method == http.MethodTrace || q.URL.Scheme != "http" || q.URL.Host == "":
		http.Error(w, "bb: a relay for builds takes CONNECT and http:// only", http.StatusBadRequest)
	default:
		r.plain.ServeHTTP(w, q)
	}
}

// connect asks the parent for a tunnel and joins it to the client.
func (r *relay) connect(w http.ResponseWriter, q *http.Request) {
	up, in, err := r.tunnel(q.Context(), q.Host)
	if err != nil {
		r.note("the parent proxy: %v", err)
		http.Error(w, "bb: the parent proxy gives no tunnel", http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	_ = down.SetDeadline(time.Time{})
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	join := func(to net.Conn, from io.Reader) {
		_, _ = io.Copy(to, from)
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		done <- struct{}{}
	}
	go join(up, rw)
	go join(down, in)
	<-done
	<-done
}

// tunnel returns a connection through the parent, and what reads from it.
func (r *relay) tunnel(ctx context.Context, target string) (net.Conn, io.Reader, error) {
	if _, _, err := egress.SplitAuthority(target, 0); err != nil {
		return nil, nil, errors.New("not a HOST:PORT to connect to")
	}
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	var dialer net.Dialer
	up, err := dialer.DialContext(ctx, "tcp", r.parent.Host)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = up.Close() })
	defer stop()
	if r.parent.Scheme == "https" {
		secure := tls.Client(up, r.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = up.Close()
			return nil, nil, err
		}
		up = secure
	}
	head := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n"
	if r.login != "" {
		head += "Proxy-Authorization: " + r.login + "\r\n"
	}
	if _, err := io.WriteString(up, head+"\r\n"); err != nil {
		_ = up.Close()
		return nil, nil, err
	}
	// Its head is bounded: a parent that sends one without end gets no answer.
	bounded := &io.LimitedReader{R: up, N: relayHead}
	in := bufio.NewReader(bounded)
	answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	switch {
	case err != nil:
		err = errors.New("no answer to CONNECT")
	case answer.StatusCode == http.StatusProxyAuthRequired:
		err = errors.New("it refuses the login (407)")
	case answer.StatusCode != http.StatusOK:
		err = fmt.Errorf("it answers %d to CONNECT %s", answer.StatusCode, target)
	}
	if err != nil {
		_ = up.Close()
		return nil, nil, err
	}
	bounded.N = math.MaxInt64
	return up, in, nil
}
