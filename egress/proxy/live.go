package proxy

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// live is a policy bound to the connections that it opened.
type live struct {
	policy    *Policy
	routes    []egress.Route
	upstreams map[*egress.Route]*upstream
	inspector egress.Inspector // nil: nothing is searched
}

// upstream is the outside of one route. Each has its own pool: a connection
// that one route's ssrf_ip_allowlist permitted serves no other.
type upstream struct {
	transport *http.Transport
	secret    string
	// header and headerValue, or query, carry the credential.
	header, headerValue, query string
	redact                     *redactor
	allow                      []netip.Prefix
	// dial reaches "host:port" under the rules of the route.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	hop  *Hop // nil: straight out
}

func (p *Proxy) bind(policy *Policy) *live {
	if policy == nil {
		return nil
	}
	l := &live{
		policy:    policy,
		routes:    policy.routes,
		upstreams: make(map[*egress.Route]*upstream, len(policy.routes)),
		inspector: p.inspector(policy),
	}
	line := policy.cleaner()
	for i := range l.routes {
		r := &l.routes[i]
		u := p.upstream(policy, r, line)
		if r.Auth != nil {
			u.credential(r.Auth, policy.values[r.Auth.Slot])
		}
		l.upstreams[r] = u
	}
	return l
}

func (p *Proxy) upstream(policy *Policy, r *egress.Route, line func(string) string) *upstream {
	u := &upstream{}
	for _, s := range r.SSRFIPAllowlist {
		if prefix, err := netip.ParsePrefix(s); err == nil {
			u.allow = append(u.allow, prefix.Masked())
		}
	}
	straight := &dialer{resolver: p.o.Resolver, dial: p.o.Dial, allow: u.allow}
	u.dial = straight.DialContext
	if u.hop = policy.hop; u.hop != nil {
		u.dial = p.throughHop(policy, u.allow, line)
	}
	u.transport = &http.Transport{
		Proxy:                  nil, // never that of the environment
		DialContext:            u.dial,
		TLSClientConfig:        &tls.Config{RootCAs: policy.roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // never ask for an encoding that the client did not
		MaxIdleConnsPerHost:    64,
		MaxIdleConns:           256,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		// What an agent does not read stays with the upstream, not here.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 512 << 10, MaxReceiveBufferPerConnection: 4 << 20, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	if u.hop != nil {
		u.transport.Proxy = plainByHop
		u.transport.TLSClientConfig = u.hop.trust(u.transport.TLSClientConfig, r.Host)
	}
	return u
}

func (u *upstream) credential(a *egress.Auth, value string) {
	u.secret = value
	u.header, u.query = a.HeaderName(), a.Query
	if value == "" {
		return
	}
	switch a.Scheme {
	case "Basic":
		u.headerValue = "Basic " + base64.StdEncoding.EncodeToString([]byte(value))
	case "raw":
		u.headerValue = value
	default:
		u.headerValue = a.Scheme + " " + value
	}
	u.redact = newRedactor(value, u.headerValue)
}

// checkHost refuses a host by its name alone, before anything is set up for it.
func (u *upstream) checkHost(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return checkAddr(host, addr, u.allow)
	}
	if u.hop != nil && localName(host) {
		return &addressError{host: host, never: true}
	}
	return nil
}

// hop identifies the way that requests of the policy take.
func (l *live) hop() string {
	if h := l.policy.hop; h != nil {
		return h.Name + " " + h.Address
	}
	return ""
}

// retire lets requests under way finish and keeps no connection after them.
func (l *live) retire() {
	if l == nil {
		return
	}
	for _, u := range l.upstreams {
		u.transport.CloseIdleConnections()
	}
}
