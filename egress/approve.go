package egress

import (
	"errors"
	"fmt"
	"slices"
)

// Approve returns the declared routes with what a person approved beside them, as
// it stands for every time: what ended is there too, where it allows nothing.
// Entries of an earlier Approve are left out first. Of an approval count Host, Port,
// Matches, Expires, Source and Approved: a login stays as it is, so where a route
// covers the host it is that one, widened.
//
// Several approvals of one host become one entry for each end, which allows all
// that ends no sooner; Find takes the one that ends next. So each lasts exactly as
// long as it says, and then the list decides as it did without it. What is allowed
// already changes nothing; the entry that allows it names the proposal too.
func Approve(routes, approved []Route) ([]Route, error) {
	declared := Declared(routes)
	out := CloneRoutes(declared)
	type place struct {
		host string
		port int
	}
	var order []place
	group := map[place][]Route{}
	for _, r := range approved {
		if len(r.Approved) == 0 {
			return nil, errors.New("an approved route names no proposal")
		}
		at := place{r.Host, r.Port}
		if group[at] == nil {
			order = append(order, at)
		}
		group[at] = append(group[at], r)
	}
	for _, at := range order {
		out = append(out, nested(Base(declared, at.host, at.port), group[at])...)
	}
	return out, CheckRoutes(out)
}

// Declared are the routes that are no approval's.
func Declared(routes []Route) []Route {
	return slices.DeleteFunc(slices.Clone(routes), func(r Route) bool { return len(r.Approved) > 0 })
}

// nested makes the entries of one host: each allows what base does and all
// approvals that end no sooner than it.
func nested(base *Route, approved []Route) (out []Route) {
	made := Route{Host: approved[0].Host, Port: approved[0].Port}
	if base != nil {
		if base.Tunnel {
			return nil // all of it is allowed
		}
		made = base.clone()
		made.Host = approved[0].Host
	}
	slices.SortStableFunc(approved, func(a, b Route) int { return -compareEnds(a, b) })
	for i, r := range approved {
		first := base == nil && i == 0
		matches := cloneMatches(r.Matches)
		if !first {
			matches = union(made.Matches, r.Matches)
		}
		made.Approved = append(made.Approved, r.Approved...)
		last := len(out) - 1
		switch {
		case first || !same(matches, made.Matches):
			if last >= 0 && compareEnds(out[last], r) == 0 {
				out = out[:last]
			}
			made.Matches, made.Expires, made.Source = matches, r.Expires, r.Source
			out = append(out, made.clone())
		case last >= 0: // one that lasts as long allows it
			out[last].Approved = slices.Clone(made.Approved)
		default: // the declared one does
			made.Approved = nil
		}
	}
	for i := range out {
		if n := len(out[i].Approved); n > 1 {
			out[i].Source = fmt.Sprintf("%s, and %d more", out[i].Source, n-1)
		}
	}
	return out
}

// compareEnds orders by when routes end: those that never do are the last.
func compareEnds(a, b Route) int {
	switch {
	case a.Expires.IsZero() && b.Expires.IsZero():
		return 0
	case a.Expires.IsZero():
		return 1
	case b.Expires.IsZero():
		return -1
	}
	return a.Expires.Compare(b.Expires)
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
