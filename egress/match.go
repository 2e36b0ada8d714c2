package egress

import (
	"slices"
	"strings"
	"time"
)

// Find returns the one route that decides about a canonical host and port, or
// nil. The most specific entry wins and is never fallen through: the exact
// host, then "*.suffix", then the longest "**.suffix". An expired route is as
// if it were not there.
func Find(routes []Route, host string, port int, now time.Time) *Route {
	var best *Route
	rank := 0
	for i := range routes {
		r := &routes[i]
		if r.Port != port || r.Expired(now) {
			continue
		}
		if n := specificity(r.Host, host); n > rank || n == rank && n > 0 && r.before(best) {
			best, rank = r, n
		}
	}
	return best
}

// Base is Find among the declared routes: what decides when no approval does.
func Base(routes []Route, host string, port int) *Route {
	return Find(Declared(routes), host, port, time.Time{})
}

// before reports whether r decides rather than other, which is for the same host:
// what was approved, and of that what ends next, since it allows the most.
func (r *Route) before(other *Route) bool {
	if mine, theirs := r.declared(), other.declared(); mine != theirs {
		return theirs
	}
	return compareEnds(*r, *other) < 0
}

func (r *Route) declared() bool { return len(r.Approved) == 0 && r.Expires.IsZero() }

// Names reports whether a route in force names a canonical host, at whatever
// port: whether policy DNS knows it.
func Names(routes []Route, host string, now time.Time) bool {
	return slices.ContainsFunc(routes, func(r Route) bool {
		return !r.Expired(now) && specificity(r.Host, host) > 0
	})
}

// Expired reports whether the route has ended.
func (r *Route) Expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}

// specificity is 0 where the pattern does not cover the host, and grows with
// how closely it names it. Hosts are at most 253 bytes.
func specificity(pattern, host string) int {
	if pattern == host {
		return 1 << 20
	}
	many := false
	suffix, ok := strings.CutPrefix(pattern, "*.")
	if !ok {
		if suffix, many = strings.CutPrefix(pattern, "**."); !many {
			return 0
		}
	}
	labels, ok := strings.CutSuffix(host, "."+suffix)
	switch {
	case !ok || labels == "" || isIP(host):
		return 0
	case many:
		return len(suffix)
	case strings.Contains(labels, "."):
		return 0
	}
	return 1<<10 + len(suffix)
}

// Verdict is what a route says about one method and path.
type Verdict struct {
	Allowed bool
	// Malformed means that the path can be read in more than one way, so that
	// no rule can be applied to it.
	Malformed bool
	Reason    string
}

// Allows applies the route's matches to a method and an escaped path. The path
// is looked at only where a match that fits the method names paths.
func (r *Route) Allows(method, escapedPath string) Verdict {
	if len(r.Matches) == 0 {
		return Verdict{Allowed: true}
	}
	path := ""
	for _, m := range r.Matches {
		if !m.allowsMethod(method) {
			continue
		}
		if len(m.Paths) == 0 {
			return Verdict{Allowed: true}
		}
		if path == "" {
			canonical, err := CanonicalPath(escapedPath)
			if err != nil {
				return Verdict{Malformed: true, Reason: err.Error()}
			}
			path = canonical
		}
		if m.allowsPath(path) {
			return Verdict{Allowed: true}
		}
	}
	if path == "" {
		return Verdict{Reason: "the method is not among those of the rule"}
	}
	return Verdict{Reason: "the path is not under those of the rule"}
}

func (m Match) allowsMethod(method string) bool {
	return len(m.Methods) == 0 || slices.ContainsFunc(m.Methods, func(s string) bool {
		return strings.ToUpper(s) == method
	})
}

func (m Match) allowsPath(path string) bool {
	return slices.ContainsFunc(m.Paths, func(rule string) bool {
		prefix, err := CanonicalPath(rule)
		return err == nil && underPrefix(path, prefix)
	})
}
