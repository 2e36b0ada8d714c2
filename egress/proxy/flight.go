package proxy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/bb/egress"
)

var errCut = errors.New("the policy no longer allows it")

// flight is a request under way: it has been decided about, and may outlive
// the policy that allowed it.
type flight struct {
	target egress.Target
	auth   egress.Auth // zero: none
	tunnel bool
	allow  []string // its route's ssrf_ip_allowlist
	hop    string
	cut    context.CancelCauseFunc
	timer  *time.Timer
}

type flights struct {
	mu  sync.Mutex
	all map[*flight]struct{}
}

// begin registers a request that l allowed. The returned context ends when a
// later policy forbids it (attack B8) or its route expires.
func (p *Proxy) begin(ctx context.Context, l *live, t egress.Target, r *egress.Route) (context.Context, func()) {
	ctx, cut := context.WithCancelCause(ctx)
	f := &flight{
		target: t, auth: authOf(r), tunnel: r.Tunnel, allow: r.SSRFIPAllowlist, hop: l.hop(), cut: cut,
	}
	if !r.Expires.IsZero() {
		f.timer = time.AfterFunc(r.Expires.Sub(p.o.Now()), func() { cut(errCut) })
	}
	p.flights.mu.Lock()
	if p.flights.all == nil {
		p.flights.all = map[*flight]struct{}{}
	}
	p.flights.all[f] = struct{}{}
	p.flights.mu.Unlock()
	// A swap between the decision and now has not seen this flight.
	if now := p.live.Load(); now != l && f.forbidden(now, p.o.Now()) {
		cut(errCut)
	}
	return ctx, func() {
		p.flights.mu.Lock()
		delete(p.flights.all, f)
		p.flights.mu.Unlock()
		if f.timer != nil {
			f.timer.Stop()
		}
		cut(nil)
	}
}

func (f *flight) forbidden(l *live, now time.Time) bool {
	if l == nil {
		return true
	}
	e := egress.Decide(l.routes, f.target, now)
	if !e.Allowed || authOf(e.Route) != f.auth || l.hop() != f.hop {
		return true
	}
	// A tunnel lasts, and nobody decides again in it.
	return f.tunnel && (!e.Route.Tunnel || !containsAll(e.Route.SSRFIPAllowlist, f.allow))
}

func containsAll(list, of []string) bool {
	return !slices.ContainsFunc(of, func(s string) bool { return !slices.Contains(list, s) })
}

// authOf is what makes two auths of a host the same, whatever their slots.
func authOf(r *egress.Route) egress.Auth {
	if r.Auth == nil {
		return egress.Auth{}
	}
	return egress.Auth{Scheme: r.Auth.Scheme, Header: r.Auth.HeaderName(), Query: r.Auth.Query}
}

func (s *flights) cutForbidden(l *live, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.all {
		if f.forbidden(l, now) {
			f.cut(errCut)
		}
	}
}

func (s *flights) cutAll() { s.cutForbidden(nil, time.Time{}) }
