package pipelock

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/proxy"
)

// Options say which program runs, and where.
type Options struct {
	// Binary is the program's absolute path.
	Binary string
	// Dir is a private directory, 0700, for configurations and keys. It is made.
	Dir string
	// Note gets one clean line an event; nil means nobody.
	Note func(format string, args ...any)

	waits waits // shorter in tests
}

// waits are the bounds of time.
type waits struct{ command, port, first, most, calm, end time.Duration }

var usual = waits{
	command: 10 * time.Second,       // of version and check
	port:    10 * time.Second,       // 30 ms on an idle machine
	first:   200 * time.Millisecond, // before a restart, doubled each time
	most:    10 * time.Second,
	calm:    30 * time.Second, // a life that long was none of a series of deaths
	end:     2 * time.Second,  // between asking it to end and ending it
}

// Policy is what of a control document a process depends on.
type Policy struct {
	Routes []egress.Route
	// UpstreamCA is PEM: roots that it trusts besides the system's.
	UpstreamCA string
}

// Process is one program that is kept running until it is stopped. While it is
// down its address refuses connections.
type Process struct {
	o       Options
	policy  string // identifies what it was made for
	dir     string
	config  string
	env     []string
	address string
	roots   *x509.CertPool

	up     atomic.Bool   // it has listened once: from then on it is restarted
	failed chan error    // why it never did
	cancel func()        // ends it
	done   chan struct{} // closed when it has ended
}

// Start has the program tell its version and check its configuration, starts
// it and waits until it listens. After an error nothing of it is left.
func Start(ctx context.Context, o Options, policy Policy) (*Process, error) {
	if o.waits == (waits{}) {
		o.waits = usual
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	version, err := o.version(ctx)
	if err != nil {
		return nil, err
	}
	if err := private(o.Dir); err != nil {
		return nil, fmt.Errorf("pipelock: %w", err)
	}
	dir, err := os.MkdirTemp(o.Dir, "run-") // 0700
	if err != nil {
		return nil, fmt.Errorf("pipelock: %w", err)
	}
	p := &Process{
		o: o, policy: policy.digest(), dir: dir, config: filepath.Join(dir, "pipelock.yaml"),
		failed: make(chan error, 1), done: make(chan struct{}),
	}
	if err := p.prepare(ctx, version, policy); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	life, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go p.keep(life)
	if err := p.listens(ctx); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// version asks the program for its own, and refuses one that Render does not
// write for.
func (o Options) version(ctx context.Context) (string, error) {
	out, err := o.command(ctx, "--version")
	if err != nil {
		return "", fmt.Errorf("pipelock --version: %w", err)
	}
	version, err := ParseVersion(out)
	if err != nil {
		return "", fmt.Errorf("pipelock --version: %w", err)
	}
	return version, Supported(version)
}

// prepare writes what the program reads, and has it judged by the program.
func (p *Process) prepare(ctx context.Context, version string, policy Policy) error {
	ca, err := proxy.LoadOrCreateCA(p.dir)
	if err != nil {
		return fmt.Errorf("pipelock: %w", err)
	}
	p.roots = x509.NewCertPool()
	p.roots.AppendCertsFromPEM(ca.CertPEM())
	port, err := freePort()
	if err != nil {
		return fmt.Errorf("pipelock: %w", err)
	}
	p.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	text, err := Render(Config{
		Version: version, Port: port, Routes: policy.Routes,
		CACert: filepath.Join(p.dir, egress.CACertFile), CAKey: filepath.Join(p.dir, egress.CAKeyFile),
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.config, text, 0o600); err != nil {
		return fmt.Errorf("pipelock: %w", err)
	}
	// Never that of bb itself: it may hold anything.
	p.env = []string{}
	if strings.TrimSpace(policy.UpstreamCA) != "" {
		bundle := filepath.Join(p.dir, "roots.pem")
		if err := os.WriteFile(bundle, append(systemRoots(), policy.UpstreamCA...), 0o600); err != nil {
			return fmt.Errorf("pipelock: %w", err)
		}
		p.env = append(p.env, "SSL_CERT_FILE="+bundle)
	}
	if out, err := p.o.command(ctx, "check", "--config", p.config); err != nil {
		return fmt.Errorf("pipelock refuses the configuration: %w: %s", err, lastWords(out))
	}
	return nil
}

// listens waits for the port.
func (p *Process) listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.o.waits.port)
	defer cancel()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", p.address)
		if err == nil {
			p.up.Store(true)
			return conn.Close()
		}
		select {
		case err := <-p.failed:
			return fmt.Errorf("pipelock does not run: %w", err)
		case <-ctx.Done():
			return errors.New("pipelock does not listen")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Serves reports whether the process does what policy asks for.
func (p *Process) Serves(policy Policy) bool { return p != nil && p.policy == policy.digest() }

// Hop is how bb sends requests through it. The address stays when the process
// is restarted.
func (p *Process) Hop() proxy.Hop {
	return proxy.Hop{Name: "pipelock", Address: p.address, Roots: p.roots}
}

// Stop ends the process and removes its files. It may be called again, and on
// nil.
func (p *Process) Stop() {
	if p == nil {
		return
	}
	p.cancel()
	<-p.done
	_ = os.RemoveAll(p.dir)
}

// digest says what a configuration is made of, but for its port and paths.
func (p Policy) digest() string {
	if len(p.Routes) == 0 {
		return ""
	}
	text, err := Render(Config{Version: major, Port: 1, CACert: "-", CAKey: "-", Routes: p.Routes})
	if err != nil {
		return "" // Start says why
	}
	sum := sha256.Sum256(append(text, p.UpstreamCA...))
	return hex.EncodeToString(sum[:])
}

// freePort is below the ports that systems give to outgoing connections, which
// could take it before the program does.
func freePort() (int, error) {
	var last error
	for range 32 {
		port := 20000 + rand.IntN(10000)
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, ln.Close()
		}
		last = err
	}
	return 0, last
}

// private makes a directory that nobody else may look into.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s must be a directory with mode 0700", dir)
	}
	return nil
}

// systemRoots are the system's in one file, if it has such a file. The
// variable that names another file leaves the system's directories in force.
func systemRoots() []byte {
	for _, path := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		if data, err := os.ReadFile(path); err == nil {
			return append(data, '\n')
		}
	}
	return nil
}
