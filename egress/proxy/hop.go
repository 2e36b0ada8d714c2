package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// Hop is a proxy behind this one, which is asked to connect by name: then
// nothing is resolved here, and ssrf_ip_allowlist, which is about where a name
// leads, is the hop's to enforce.
type Hop struct {
	// Name is what answers call it: "the parent proxy", "pipelock".
	Name string
	// Address is its host and port; TLS speaks TLS to it.
	Address string
	TLS     bool
	// Authorization is the value of Proxy-Authorization, or "".
	Authorization string
	// Roots are trusted for what comes through it, besides the policy's: those
	// of a hop that intercepts.
	Roots *x509.CertPool
}

// hopOf makes the hop that a document asks for, or nil. That of pipelock has no
// address until Through gives one: without it nothing passes.
func hopOf(doc egress.Document) (*Hop, error) {
	switch {
	case doc.Parent != nil && doc.Pipelock:
		return nil, errors.New("a parent proxy and pipelock exclude each other: pipelock must be the last hop")
	case doc.Pipelock:
		return &Hop{Name: "pipelock"}, nil
	case doc.Parent == nil:
		return nil, nil
	}
	// The text of a bad URL could hold a password: it is not repeated.
	u, err := url.Parse(doc.Parent.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Opaque != "" || u.Path != "" ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(doc.Parent.URL, "#") {
		return nil, errors.New("the parent proxy is not http://HOST:PORT or https://HOST:PORT")
	}
	host, port, err := egress.SplitAuthority(u.Host, 0)
	if err != nil {
		return nil, errors.New("the parent proxy is not http://HOST:PORT or https://HOST:PORT")
	}
	h := &Hop{Name: "the parent proxy", Address: egress.Authority(host, port, 0), TLS: u.Scheme == "https"}
	if doc.Parent.Slot == "" {
		return h, nil
	}
	value := doc.Tokens[doc.Parent.Slot].Value
	if user, _, ok := strings.Cut(value, ":"); !ok || user == "" {
		return nil, errors.New("the token of the parent proxy is not USER:PASSWORD")
	}
	h.Authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(value))
	return h, nil
}

// localName is a name that no resolver should be asked for (RFC 6761, 6.3), or
// that stands for a cloud's metadata service. Straight out the address that it
// leads to is refused; a hop would go there.
func localName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		host == "metadata.google.internal" || host == "instance-data.ec2.internal"
}

// viaHop is the address that plain requests ask their transport for: a host
// that no route can have.
const viaHop = "_hop:1"

// plainByHop makes a transport send http requests to the hop in absolute form.
// For https the dialer asks for a tunnel, so that the transport sees the target.
func plainByHop(r *http.Request) (*url.URL, error) {
	if r.URL.Scheme == "http" {
		return &url.URL{Scheme: "http", Host: viaHop}, nil
	}
	return nil, nil
}

// authorizeHop puts the hop's credential on what is sent to it in absolute
// form. Tunnels carry it in their CONNECT only.
func (u *upstream) authorizeHop(out *http.Request) {
	if u.hop != nil && u.hop.Authorization != "" && out.URL.Scheme == "http" {
		out.Header["Proxy-Authorization"] = []string{u.hop.Authorization}
	}
}

// hopAnswered refuses an answer that only a proxy gives: the agent has no
// credential for it.
func (u *upstream) hopAnswered(scheme string, res *http.Response) error {
	if u.hop == nil || scheme != "http" || res.StatusCode != http.StatusProxyAuthRequired {
		return nil
	}
	return &hopError{hop: u.hop, status: res.StatusCode}
}

// trust makes a configuration accept what the hop's own roots have signed too.
// host is that of the route: an address is not sent as a server name, and then
// only the route knows it.
func (h *Hop) trust(cfg *tls.Config, host string) *tls.Config {
	if h.Roots == nil {
		return cfg
	}
	pools := []*x509.CertPool{cfg.RootCAs, h.Roots}
	cfg.InsecureSkipVerify = true // VerifyConnection does it, against both
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		name := s.ServerName
		if _, err := netip.ParseAddr(host); err == nil {
			name = host
		}
		return verify(s.PeerCertificates, name, pools)
	}
	return cfg
}

// verify is what crypto/tls does with one pool.
func verify(chain []*x509.Certificate, name string, pools []*x509.CertPool) error {
	if name == "" || len(chain) == 0 {
		return errors.New("no name or no certificate to verify")
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	var first error
	for _, roots := range pools {
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: name})
		if err == nil {
			return nil
		}
		if first == nil {
			first = &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
		}
	}
	return first
}
