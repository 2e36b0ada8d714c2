package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// reservedHeaders frame or address a message: a credential never goes there.
var reservedHeaders = []string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// CheckRoutes judges a list that a proxy is about to obey: canonical hosts,
// one declared entry per host and port, and one approved for each end, rules that
// can be applied.
func CheckRoutes(routes []Route) error {
	seen := map[string]string{}
	for i := range routes {
		r := &routes[i]
		if err := r.check(); err != nil {
			return fmt.Errorf("route %s (%s): %w", quote(r.Host), r.Source, err)
		}
		key := Authority(r.Host, r.Port, 0)
		switch {
		case !r.Expires.IsZero():
			key += " until " + r.Expires.UTC().Format(time.RFC3339Nano)
		case !r.declared():
			key += " for good"
		}
		if other, ok := seen[key]; ok {
			return fmt.Errorf("route %s is there twice: %s and %s", key, other, r.Source)
		}
		seen[key] = r.Source
	}
	return nil
}

func (r *Route) check() error {
	host, err := CanonicalPattern(r.Host)
	if err != nil {
		return err
	}
	if host != r.Host || strings.HasSuffix(host, LocalHost) {
		return fmt.Errorf("the host is not in canonical form")
	}
	if r.Port < 1 || r.Port > 65535 {
		return fmt.Errorf("port %d is not between 1 and 65535", r.Port)
	}
	if key := r.beyondTunnel(); r.Tunnel && key != "" {
		return fmt.Errorf("%s cannot act in a tunnel, which is not looked into", key)
	}
	for _, m := range r.Matches {
		for _, p := range m.Paths {
			if _, err := CanonicalPath(p); err != nil {
				return fmt.Errorf("path %s: %w", quote(p), err)
			}
		}
	}
	for _, cidr := range r.SSRFIPAllowlist {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			return fmt.Errorf("ssrf_ip_allowlist: %s is not a network", quote(cidr))
		}
	}
	if d := r.DLP; d != nil {
		for _, word := range []string{d.OnMatch, d.Patterns} {
			if !slices.Contains([]string{"", OnMatchBlock, OnMatchRedact, OnMatchSupervise}, word) {
				return fmt.Errorf("dlp: unknown action %s", quote(word))
			}
		}
	}
	if r.Auth == nil {
		return nil
	}
	return r.Auth.check()
}

// beyondTunnel names a rule of the route that needs a request to be read.
func (r *Route) beyondTunnel() string {
	switch {
	case r.Auth != nil:
		return "auth"
	case len(r.Matches) > 0:
		return "matches"
	case r.GitFetch:
		return "git"
	case r.MaxBody > 0:
		return "max_body"
	case r.DLP != nil:
		return "dlp"
	}
	return ""
}

func (a *Auth) check() error {
	if !slices.Contains([]string{"Bearer", "token", "Basic", "raw"}, a.Scheme) {
		return fmt.Errorf("unknown auth scheme %s", quote(a.Scheme))
	}
	if a.Slot == "" {
		return fmt.Errorf("auth has no token slot")
	}
	if a.Query != "" {
		if strings.Trim(a.Query, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
			return fmt.Errorf("auth.query %s is not a plain parameter name", quote(a.Query))
		}
		return nil
	}
	name := a.HeaderName()
	if !IsToken(name) || slices.Contains(reservedHeaders, name) || FramingLookAlike(name) {
		return fmt.Errorf("auth.header %s cannot carry a credential", quote(a.Header))
	}
	return nil
}

// IsToken reports whether s is a token of RFC 9110, 5.6.2: a method or a
// header name.
func IsToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// FramingLookAlike reports whether a header's name is that of one which frames
// or addresses a message once "_" is read as "-", as CGI and its successors do
// (RFC 3875, 4.1.18): this end would ignore it and the other obey it (attack C1).
func FramingLookAlike(name string) bool {
	if !strings.Contains(name, "_") {
		return false
	}
	folded := strings.ReplaceAll(name, "_", "-")
	return slices.ContainsFunc(reservedHeaders, func(r string) bool { return strings.EqualFold(r, folded) })
}
