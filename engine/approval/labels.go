package approval

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Labels of proposals: what bb sees in one, whatever its reason says.
const (
	NewHost     = "new host"
	WiderPath   = "wider path"
	WriteMethod = "write method"
	Credential  = "reaches a host that has a credential"
	Internal    = "internal address"
	Unscanned   = "holds what looks like a credential"
	Image       = "another image"
)

// reading are the methods that change nothing by their definition: RFC 9110,
// section 9.2.1.
var reading = []string{"GET", "HEAD", "OPTIONS", "TRACE"}

// internal names do not leave a network: RFC 6762, 8375, 6761 and custom.
var internal = []string{".local", ".localhost", ".internal", ".lan", ".home", ".corp", ".intranet", ".home.arpa"}

// Labels says what a proposal would open beside the routes in force.
func Labels(p egress.Proposal, routes []egress.Route, now time.Time) []string {
	var out []string
	host := ""
	switch {
	case p.Route != nil:
		host = p.Route.Host
		out = ofRoute(*p.Route, routes, now)
	case p.Held != nil:
		host = p.Held.Host
		out = append(out, Unscanned)
		if r := egress.Find(routes, host, p.Held.Port, now); r != nil && r.Auth != nil {
			out = append(out, Credential)
		}
	case p.Kind == egress.ProposeCapability:
		out = append(out, Image)
	}
	if host != "" && isInternal(host) {
		out = append(out, Internal)
	}
	return out
}

func ofRoute(r egress.Route, routes []egress.Route, now time.Time) (out []string) {
	base := egress.Find(routes, r.Host, r.Port, now)
	if base == nil {
		out = append(out, NewHost)
	} else if wider(r, base) {
		out = append(out, WiderPath)
	}
	if writes(r.Matches) {
		out = append(out, WriteMethod)
	}
	// A credential of the same host on another port is the same account.
	if slices.ContainsFunc(routes, func(x egress.Route) bool {
		return x.Auth != nil && egress.Names([]egress.Route{x}, r.Host, now)
	}) {
		out = append(out, Credential)
	}
	return out
}

// wider reports whether a route allows paths that the one in force does not.
func wider(r egress.Route, base *egress.Route) bool {
	if len(base.Matches) == 0 {
		return false
	}
	if len(r.Matches) == 0 {
		return true
	}
	for _, m := range r.Matches {
		methods := m.Methods
		if len(methods) == 0 {
			methods = []string{"GET", "POST"}
		}
		paths := m.Paths
		if len(paths) == 0 {
			paths = []string{"/"}
		}
		for _, method := range methods {
			for _, path := range paths {
				if !base.Allows(method, path).Allowed {
					return true
				}
			}
		}
	}
	return false
}

func writes(matches []egress.Match) bool {
	if len(matches) == 0 {
		return true
	}
	return slices.ContainsFunc(matches, func(m egress.Match) bool {
		return len(m.Methods) == 0 || slices.ContainsFunc(m.Methods, func(s string) bool {
			return !slices.Contains(reading, strings.ToUpper(s))
		})
	})
}

func isInternal(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return !ip.IsGlobalUnicast() || ip.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(ip) // RFC 6598
	}
	return !strings.Contains(host, ".") || slices.ContainsFunc(internal, func(s string) bool { return strings.HasSuffix(host, s) })
}

// Digest names a proposal together with the policy that it was judged beside:
// where either moved, it is another, and a person is asked again.
func Digest(p egress.Proposal, routes []egress.Route) string {
	b, err := json.Marshal(struct {
		Proposal egress.Proposal
		Routes   []egress.Route
	}{p, routes})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
