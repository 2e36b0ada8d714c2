package egress

import (
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"
)

// Merge joins the manifest's routes with those of the provider. The key is
// (host, port), compared literally; the six cases are those of the design,
// section 6. The inputs are not changed and not shared with the result.
func Merge(manifest, provider []Route) ([]Route, error) {
	merged := make([]Route, 0, len(manifest)+len(provider))
	for _, r := range manifest {
		if have := literal(merged, r); have != nil {
			return nil, fmt.Errorf("%s:%d is declared twice: %s and %s; keep one of them", r.Host, r.Port, have.Source, r.Source)
		}
		merged = append(merged, r.clone())
	}
	for _, r := range provider {
		have := literal(merged, r)
		if have == nil {
			added, err := limited(r.clone(), manifest)
			if err != nil {
				return nil, err
			}
			merged = append(merged, added)
			continue
		}
		if err := have.adopt(r); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

func literal(routes []Route, r Route) *Route {
	for i := range routes {
		if routes[i].Host == r.Host && routes[i].Port == r.Port {
			return &routes[i]
		}
	}
	return nil
}

// adopt puts the provider's wishes on a route that is there already.
func (r *Route) adopt(p Route) error {
	switch {
	case p.Auth != nil && r.Tunnel:
		return fmt.Errorf("%s:%d is an uninspected tunnel (%s), and %s wants to authenticate there; remove the tunnel",
			r.Host, r.Port, r.Source, p.Source)
	case p.Auth != nil && r.Auth == nil:
		auth := *p.Auth
		r.Auth = &auth
	case p.Auth != nil && !r.Auth.Same(p.Auth):
		return fmt.Errorf("%s:%d has two different auths: %s and %s; remove one of them",
			r.Host, r.Port, r.Source, p.Source)
	}
	r.TLSPassthrough = r.TLSPassthrough || p.TLSPassthrough
	if !r.Tunnel { // nothing is searched in one
		r.DLP = r.DLP.over(p.DLP)
	}
	// What carries a login of this host is the provider's knowledge.
	for _, name := range p.Strip {
		if !slices.ContainsFunc(r.Strip, func(s string) bool { return strings.EqualFold(s, name) }) {
			r.Strip = append(r.Strip, name)
		}
	}
	return nil
}

// over is what a manifest says of hits, over what its provider does: what the
// manifest says stays, and on its silence about hits that are no known value
// the provider speaks. That may be weaker than the default: redacting takes the
// hit out of the request too, and blocking would end a session whose context
// holds it. No provider speaks for known values where a manifest says anything.
func (d *DLP) over(p *DLP) *DLP {
	var out DLP
	switch {
	case p == nil:
		return d
	case d == nil:
		out = *p
	default:
		if out = *d; out.OnMatch == "" && out.Patterns == "" {
			out.Patterns = p.Patterns
		}
	}
	return &out
}

// Same reports whether both put the same credential on requests, in the same way,
// whatever their slots. nil is no login.
func (a *Auth) Same(b *Auth) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Scheme == b.Scheme && a.TokenRef == b.TokenRef && a.Query == b.Query &&
		a.HeaderName() == b.HeaderName()
}

// HeaderName is the canonical name of the header that carries the credential,
// or "" where a URL parameter does.
func (a *Auth) HeaderName() string {
	switch {
	case a.Query != "":
		return ""
	case a.Header == "":
		return "Authorization"
	}
	return textproto.CanonicalMIMEHeaderKey(a.Header)
}

// limited puts the limits of the manifest's most specific wildcard on a
// provider's route: being more specific it would otherwise lift them.
func limited(r Route, manifest []Route) (Route, error) {
	var wildcard *Route
	rank := 0
	for i := range manifest {
		m := &manifest[i]
		if n := covers(m.Host, r.Host); m.Port == r.Port && n > rank {
			wildcard, rank = m, n
		}
	}
	if wildcard == nil {
		return r, nil
	}
	limit := wildcard.clone()
	switch {
	case len(r.Matches) == 0:
		r.Matches = limit.Matches
	case len(limit.Matches) > 0:
		r.Matches = intersect(r.Matches, limit.Matches)
		if len(r.Matches) == 0 {
			return Route{}, fmt.Errorf("%s:%d of %s and the wildcard %s (%s) have no request in common; widen the wildcard, or declare the host itself",
				r.Host, r.Port, r.Source, limit.Host, limit.Source)
		}
	}
	if limit.MaxBody > 0 && (r.MaxBody == 0 || limit.MaxBody < r.MaxBody) {
		r.MaxBody = limit.MaxBody
	}
	if !r.Tunnel {
		r.DLP = limit.DLP.over(r.DLP)
	}
	return r, nil
}

// covers is the specificity of a wildcard that covers all that a host or
// another wildcard does, else 0.
func covers(wildcard, host string) int {
	if !strings.HasPrefix(wildcard, "*") || strings.HasPrefix(wildcard, "*.") && strings.HasPrefix(host, "**.") {
		return 0
	}
	return specificity(wildcard, host)
}

// intersect lists what both sides allow.
func intersect(a, b []Match) []Match {
	var both []Match
	for _, x := range a {
		for _, y := range b {
			methods, ok := common(x.Methods, y.Methods, func(m, n string) string {
				if strings.EqualFold(m, n) {
					return m
				}
				return ""
			})
			if !ok {
				continue
			}
			paths, ok := common(x.Paths, y.Paths, narrower)
			if ok {
				both = append(both, Match{Methods: methods, Paths: paths})
			}
		}
	}
	return both
}

func narrower(p, q string) string {
	cp, errp := CanonicalPath(p)
	cq, errq := CanonicalPath(q)
	switch {
	case errp != nil || errq != nil:
		return ""
	case underPrefix(cp, cq):
		return p
	case underPrefix(cq, cp):
		return q
	}
	return ""
}

// common intersects two lists in which empty means everything.
func common(a, b []string, meet func(x, y string) string) ([]string, bool) {
	if len(a) == 0 {
		return slices.Clone(b), true
	}
	if len(b) == 0 {
		return slices.Clone(a), true
	}
	set := map[string]bool{}
	for _, x := range a {
		for _, y := range b {
			if z := meet(x, y); z != "" {
				set[z] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set)), len(set) > 0
}

// CloneRoutes copies a list so that no part of it is shared.
func CloneRoutes(routes []Route) []Route {
	out := make([]Route, len(routes))
	for i, r := range routes {
		out[i] = r.clone()
	}
	return out
}

func (r Route) clone() Route {
	matches := slices.Clone(r.Matches)
	for i, m := range matches {
		matches[i] = Match{Methods: slices.Clone(m.Methods), Paths: slices.Clone(m.Paths)}
	}
	r.Matches = matches
	if r.Auth != nil {
		auth := *r.Auth
		r.Auth = &auth
	}
	if r.DLP != nil {
		dlp := *r.DLP
		r.DLP = &dlp
	}
	r.SSRFIPAllowlist = slices.Clone(r.SSRFIPAllowlist)
	r.Strip, r.Approved = slices.Clone(r.Strip), slices.Clone(r.Approved)
	return r
}
