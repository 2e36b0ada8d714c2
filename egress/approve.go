package egress

import (
	"slices"
	"time"
)

// Approve returns the routes with what a person approved. Of an approval count
// Host, Port, Matches, Expires and Source: a login stays as it is, so where a
// route covers the host it is that one, widened. An approval without an end takes
// the place of the route for its host. One that ends stands in front of it while
// it lasts, and then the list decides as it did before; of several for one host
// the first to end ends all, since they are one entry. What is allowed already
// changes nothing.
func Approve(routes, approved []Route, now time.Time) ([]Route, error) {
	out := CloneRoutes(routes)
	approved = slices.Clone(approved)
	slices.SortStableFunc(approved, func(a, b Route) int { // those without an end first
		return compareBool(a.Expires.IsZero(), b.Expires.IsZero())
	})
	for _, r := range approved {
		if !r.Expired(now) {
			out = approve(out, r, now)
		}
	}
	return out, CheckRoutes(out)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func approve(routes []Route, r Route, now time.Time) []Route {
	made := Route{Host: r.Host, Port: r.Port, Matches: cloneMatches(r.Matches), Expires: r.Expires}
	if base := Find(routes, r.Host, r.Port, now); base != nil {
		made = base.clone()
		made.Host, made.Matches = r.Host, union(base.Matches, r.Matches)
		if base.Tunnel || same(made.Matches, base.Matches) {
			return routes
		}
		if made.Expires.IsZero() || !r.Expires.IsZero() && r.Expires.Before(made.Expires) {
			made.Expires = r.Expires
		}
	}
	made.Source = r.Source
	routes = slices.DeleteFunc(routes, func(x Route) bool {
		return x.Host == r.Host && x.Port == r.Port && x.Expires.IsZero() == made.Expires.IsZero()
	})
	return append(routes, made)
}

// union allows what either does; none means everything.
func union(a, b []Match) []Match {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	out := cloneMatches(a)
	for _, m := range b {
		if !slices.ContainsFunc(out, m.equal) {
			out = append(out, cloneMatches([]Match{m})...)
		}
	}
	return out
}

func same(a, b []Match) bool { return slices.EqualFunc(a, b, Match.equal) }

func (m Match) equal(other Match) bool {
	return slices.Equal(m.Methods, other.Methods) && slices.Equal(m.Paths, other.Paths)
}

func cloneMatches(list []Match) []Match { return Route{Matches: list}.clone().Matches }
