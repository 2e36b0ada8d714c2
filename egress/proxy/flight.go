package proxy

import (
	"context"
	"errors"
	"maps"
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
	timer  *time.Timer // guarded by flights; nil: nothing of it ends by itself
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
	p.flights.mu.Lock()
	if p.flights.all == nil {
		p.flights.all = map[*flight]struct{}{}
	}
	p.flights.all[f] = struct{}{}
	p.lookAgain(f, r)
	p.flights.mu.Unlock()
	// A swap between the decision and now has not seen this flight.
	if now := p.live.Load(); now != l {
		p.judge(f)
	}
	return ctx, func() {
		p.flights.mu.Lock()
		delete(p.flights.all, f)
		p.lookAgain(f, nil)
		p.flights.mu.Unlock()
		cut(nil)
	}
}

// lookAgain decides about a flight anew when the route that allows it ends: what
// one approval allowed another, or the manifest, may allow still. The caller
// holds p.flights.mu.
func (p *Proxy) lookAgain(f *flight, r *egress.Route) {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if r != nil && !r.Expires.IsZero() {
		f.timer = time.AfterFunc(r.Expires.Sub(p.o.Now()), func() { p.judge(f) })
	}
}

// judge cuts a flight that the policy in force forbids, and looks again at one
// when what allows it now ends.
func (p *Proxy) judge(f *flight) {
	p.flights.mu.Lock()
	defer p.flights.mu.Unlock()
	if _, flies := p.flights.all[f]; !flies {
		return
	}
	r := f.allowed(p.live.Load(), p.o.Now())
	p.lookAgain(f, r)
	if r == nil {
		f.cut(errCut)
	}
}

// allowed is the route by which a flight may go on, or nil.
func (f *flight) allowed(l *live, now time.Time) *egress.Route {
	if l == nil {
		return nil
	}
	e := egress.Decide(l.routes, f.target, now)
	if !e.Allowed || authOf(e.Route) != f.auth || l.hop() != f.hop {
		return nil
	}
	// A tunnel lasts, and nobody decides again in it.
	if f.tunnel && (!e.Route.Tunnel || !containsAll(e.Route.SSRFIPAllowlist, f.allow)) {
		return nil
	}
	return e.Route
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

// judgeAll does so with all that are under way.
func (p *Proxy) judgeAll() {
	p.flights.mu.Lock()
	all := slices.Collect(maps.Keys(p.flights.all))
	p.flights.mu.Unlock()
	for _, f := range all {
		p.judge(f)
	}
}
