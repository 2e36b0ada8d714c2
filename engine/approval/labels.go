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
func Labels(p egress.Proposal, routes []egress.Route, now time.Time) (out []string) {
	switch {
	case p.Route != nil:
		return ofRoute(*p.Route, routes, now)
	case p.Held != nil:
		out = append(out, Unscanned)
		base := egress.Find(routes, p.Held.Host, p.Held.Port, now)
		if base != nil && base.Auth != nil {
			out = append(out, Credential)
		}
		if isInternal(p.Held.Host, base) {
			out = append(out, Internal)
		}
	case p.Kind == egress.ProposeCapability:
		out = append(out, Image)
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
	if isInternal(r.Host, base) {
		out = append(out, Internal)
	}
	return out
}

// wider reports whether a route allows a request that the one in force does not.
func wider(r egress.Route, base *egress.Route) bool {
	if len(base.Matches) == 0 {
		return false
	}
	asked := r.Matches
	if len(asked) == 0 {
		asked = []egress.Match{{}}
	}
	for _, m := range asked {
		methods := m.Methods
		if len(methods) == 0 { // those that are named, and one that nobody names
			methods = append(named(base.Matches), "\x00")
		}
		for _, method := range methods {
			if !allows(base, strings.ToUpper(method), m.Paths) {
				return true
			}
		}
	}
	return false
}

// allows reports whether a route allows a method on all of paths and what is below
// them. A prefix covers either all below a path or not the path itself; without
// paths even one that cannot be read is allowed, which no prefix does.
func allows(base *egress.Route, method string, paths []string) bool {
	if len(paths) == 0 {
		return slices.ContainsFunc(base.Matches, func(m egress.Match) bool {
			return len(m.Paths) == 0 && (&egress.Route{Matches: []egress.Match{m}}).Allows(method, "/").Allowed
		})
	}
	return !slices.ContainsFunc(paths, func(p string) bool { return !base.Allows(method, p).Allowed })
}

func named(matches []egress.Match) (out []string) {
	for _, m := range matches {
		out = append(out, m.Methods...)
	}
	return out
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

// isInternal reports whether a host is named as those of a network's own are, or
// may lead to its addresses by the rule that it would inherit.
func isInternal(host string, base *egress.Route) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return egress.StandingOf(ip) != egress.Outside
	}
	return base != nil && len(base.SSRFIPAllowlist) > 0 || !strings.Contains(host, ".") ||
		slices.ContainsFunc(internal, func(s string) bool { return strings.HasSuffix(host, s) })
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
