package gittest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// HTTPS is git's own backend behind TLS and a login, with repositories below
// Root.
type HTTPS struct {
	Root        string
	Addr        string // HOST:PORT
	User, Token string // the login, made at run time
	Roots       string // PEM of the authority behind its certificate
	// Answer, when set, sees each request first and returns whether it answered.
	Answer atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	// Seen counts requests, and Logins those that carried one.
	Seen, Logins atomic.Int64
}

// NewHTTPS starts one that ends with the test.
func NewHTTPS(t testing.TB, o Options) *HTTPS {
	t.Helper()
	install(t)
	if o.Listen == "" {
		o.Listen = "127.0.0.1"
	}
	root := t.TempDir()
	s := &HTTPS{Root: root, User: "robot", Token: "tkn-" + strings.ToLower(rand.Text())}
	l, err := net.Listen("tcp", net.JoinHostPort(o.Listen, "0"))
	check(t, err)
	s.Addr = l.Addr().String()
	cert, roots := certificate(t, o.Listen)
	s.Roots = roots
	git, err := exec.LookPath("git")
	check(t, err)
	backend := &cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Dir: root, Stderr: io.Discard,
		Env: append(Environ(), "GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER="+s.User),
	}
	server := &http.Server{
		Handler: s.guard(backend), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
	}
	go func() { _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// URL is the address of a repository of that name.
func (s *HTTPS) URL(name string) string { return fmt.Sprintf("https://%s/%s.git", s.Addr, name) }

func (s *HTTPS) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Seen.Add(1)
		user, token, ok := r.BasicAuth()
		if ok {
			s.Logins.Add(1)
		}
		if f := s.Answer.Load(); f != nil && (*f)(w, r) {
			return
		}
		if !ok || user != s.User || token != s.Token {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Fail makes it answer every request with a status; 0 is as usual again. A
// redirect goes to another address of this machine.
func (s *HTTPS) Fail(status int) {
	if status == 0 {
		s.Answer.Store(nil)
		return
	}
	f := func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case status == http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		case status/100 == 3:
			w.Header().Set("Location", "http://127.0.0.1:1"+r.URL.RequestURI())
		}
		w.WriteHeader(status)
		return true
	}
	s.Answer.Store(&f)
}

// Hang makes it answer nothing until the client goes.
func (s *HTTPS) Hang() {
	f := func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}
	s.Answer.Store(&f)
}

func certificate(t testing.TB, host string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gittest authority " + rand.Text()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	check(t, err)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "gittest"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{"localhost", "git.example.com"},
	}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = append(leaf.DNSNames, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, own.Public(), key)
	check(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}))
}
