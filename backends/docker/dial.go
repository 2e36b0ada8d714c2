package docker

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/client"

	"github.com/bot-bottle/bb/engine/diag"
)

// dialer opens connections to the engine, for requests and for streams alike.
// The client drops the cause of most failures, so the last is kept here.
type dialer struct {
	at     address
	starts chan struct{} // ssh servers drop connections when many begin at once

	mu   sync.Mutex
	last error     // why the newest attempt failed; nil when it did not
	when time.Time // of that
	ssh  *sshConn  // the newest one
}

// idleConns are kept for the next call: a new one costs many round trips.
const idleConns = 8

// connect makes a client of the engine. Nothing is dialled before its first
// call. No proxy of the environment is in between: streams could not pass it.
func connect(at address) (*client.Client, *dialer, error) {
	d := &dialer{at: at, starts: make(chan struct{}, 4)}
	transport := &http.Transport{
		DisableCompression: true, MaxIdleConns: idleConns, MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout: 2 * time.Minute,
	}
	host := at.scheme + "://" + at.target + at.base
	if at.scheme == "ssh" {
		host = "http://" + client.DummyHost
	}
	c, err := client.NewClientWithOpts(
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithHost(host), client.WithDialContext(d.dial),
		client.WithScheme("http"), // TLS is the dialer's business
		client.WithVersionFromEnv(), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, nil, diag.Errorf("docker: %s: %s", at, tidy(err.Error()))
	}
	transport.Proxy = nil // set by WithHost
	return c, d, nil
}

func (d *dialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := d.justFailed(); err != nil {
		return nil, &dialError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, d.at.patience())
	defer cancel()
	c, err := d.open(ctx)
	var known diag.Diagnostic
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.As(err, &known) {
		err = d.at.silent()
	}
	d.mu.Lock()
	d.last, d.when = err, time.Now()
	d.mu.Unlock()
	if err != nil {
		return nil, &dialError{err}
	}
	return c, nil
}

// justFailed saves the second wait of a client that asks for the version of
// the API first, and goes on whatever came of it.
func (d *dialer) justFailed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.scheme == "unix" || d.last == nil || time.Since(d.when) > time.Second {
		return nil
	}
	return d.last
}

// dialError tells a connection that never was from a call that failed.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

func (d *dialer) open(ctx context.Context) (net.Conn, error) {
	switch d.at.scheme {
	case "ssh":
		return d.openSSH(ctx)
	case "unix":
		return new(net.Dialer).DialContext(ctx, "unix", d.at.target)
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", d.at.target)
	if err != nil {
		return nil, err
	}
	if d.at.tls != nil {
		secure := tls.Client(c, d.at.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, d.refused(err)
		}
		c = secure
	}
	// An engine refuses our certificate only after the handshake.
	if err := hello(ctx, c, d.at.base); err != nil {
		c.Close()
		return nil, d.refused(err)
	}
	return c, nil
}

func (d *dialer) openSSH(ctx context.Context) (net.Conn, error) {
	select {
	case d.starts <- struct{}{}:
		defer func() { <-d.starts }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := d.at.ssh.start()
	if err != nil {
		return nil, err
	}
	if err := hello(ctx, c, ""); err != nil {
		return nil, c.why(ctx, err)
	}
	d.mu.Lock()
	d.ssh = c
	d.mu.Unlock()
	return c, nil
}

// errNotHTTP means that something answers which is no engine.
var errNotHTTP = errors.New("no engine speaks there")

// hello asks for a sign of life, so that what is wrong with a connection is
// known before anything is sent over it.
func hello(ctx context.Context, c net.Conn, base string) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(c, "HEAD %s/_ping HTTP/1.1\r\nHost: %s\r\n\r\n", base, client.DummyHost); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodHead})
	if err != nil {
		if strings.Contains(err.Error(), "malformed HTTP") {
			return errNotHTTP
		}
		return err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusBadRequest || r.Buffered() > 0 {
		return errNotHTTP
	}
	if !stop() {
		return context.Cause(ctx)
	}
	return nil
}

// refused explains a connection that something accepted and that is not good.
func (d *dialer) refused(err error) error {
	at, text := d.at, err.Error()
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		return diag.Errorf("docker: the engine at %s has a certificate of another authority than ca.pem", at).
			WithHint("somebody may be in between; else use the ca.pem that signed the engine's certificate")
	case errors.As(err, &name):
		return diag.Errorf("docker: the engine at %s: %s", at, tidy(text)).
			WithHint("reach it by a name in its certificate")
	case errors.As(err, &invalid):
		return diag.Errorf("docker: the engine at %s: %s", at, tidy(text)).WithHint("give the engine a valid certificate")
	case strings.Contains(text, "remote error: tls"):
		return diag.Errorf("docker: the engine at %s refuses our certificate: %s", at, tidy(text)).
			WithHint("cert.pem and key.pem must come from the authority that the engine trusts")
	case errors.Is(err, errNotHTTP) && at.tls == nil:
		return diag.Errorf("docker: no engine without TLS answers at %s", at).
			WithHint("where the engine wants TLS, set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use a context with certificates")
	case at.tls != nil && strings.Contains(text, "first record does not look like a TLS handshake"):
		return diag.Errorf("docker: the engine at %s does not speak TLS", at).
			WithHint("unset DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, or give the engine its certificate")
	}
	return err
}

// failure is the newest reason of a lost or missing connection that the
// client's errors do not tell; nil means that there is none.
func (d *dialer) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var known diag.Diagnostic
	if errors.As(d.last, &known) {
		return known
	}
	if d.ssh != nil {
		select {
		case <-d.ssh.ended:
			if text := d.ssh.said.String(); text != "" && !d.ssh.cmd.ProcessState.Success() {
				return d.ssh.target.explain(text, errNotHTTP)
			}
		default:
		}
	}
	return nil
}
