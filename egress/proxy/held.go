package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Ask asks a person about a request that waits, as long as ctx and
// egress.HoldLimit last.
type Ask func(ctx context.Context, h egress.HeldValue) (egress.Answer, error)

// keep keeps what was found, for as long as the request lives.
func (f *finding) keep(text []byte, hits []egress.Hit) {
	for _, h := range hits {
		if h.Start >= 0 && h.Start < h.End && h.End <= len(text) {
			f.values = append(f.values, string(text[h.Start:h.End]))
		}
	}
}

// settle lets a request with a finding pass where a person approved every value
// in it for that host, asks where the rule says so, and denies otherwise. What
// the sidecar itself keeps secret is nobody's to approve.
func (x *exchange) settle(f *finding) *denial {
	if !x.mayAsk(f) {
		return x.judge(f)
	}
	digests := x.p.digests(f.values)
	if len(digests) > egress.MaxHeldValues {
		return x.unanswered(f, "it holds too many of them to ask a person about")
	}
	if x.live.policy.approves(digests, x.target, x.p.o.Now()) {
		x.approved(f)
		return nil
	}
	select {
	case x.p.held <- struct{}{}:
		defer func() { <-x.p.held }()
	default:
		return deny(http.StatusServiceUnavailable, "egress: too many requests wait for a person: wait for an answer, do not send more")
	}
	answer, err := x.p.o.Ask(x.r.Context(), egress.HeldValue{
		Host: x.target.Host, Port: x.target.Port, Method: x.entry.Method, Path: x.entry.Path,
		Place: short(f.place), Detector: short(detectors(f.hits)), Digests: digests,
	})
	if err != nil {
		return x.unanswered(f, err.Error())
	}
	if answer.Verdict != egress.Approved {
		return x.unanswered(f, "a person was asked, and said no: "+answer.Reason)
	}
	// Not the answer allows it but what is in force now.
	now := x.p.live.Load()
	if now == nil || !now.policy.approves(digests, x.target, x.p.o.Now()) || !x.stillIn(now.routes) {
		return x.unanswered(f, "a person said yes, and the policy in force does not: send it again")
	}
	x.approved(f)
	return nil
}

// stillIn reports whether routes have a held request go as the rule says that it
// began with: it has that rule's login on it already, and was searched by it.
func (x *exchange) stillIn(routes []egress.Route) bool {
	d := egress.Decide(routes, x.target, x.p.o.Now())
	return d.Allowed && reflect.DeepEqual(asRule(d.Route), asRule(x.verdict.Route))
}

// asRule is a route without what only says whether it covers a request.
func asRule(r *egress.Route) egress.Route {
	rule := *r
	rule.Host, rule.Matches, rule.Expires, rule.Source, rule.Approved = "", nil, time.Time{}, "", nil
	return rule
}

// mayAsk reports whether the rule has a person asked, and one can be told what
// about.
func (x *exchange) mayAsk(f *finding) bool {
	if x.p.o.Ask == nil || f.stuck || anyKnown(f.hits) || len(f.values) != len(f.hits) {
		return false
	}
	return !slices.ContainsFunc(f.hits, func(h egress.Hit) bool { return x.verdict.Route.Action(h) != egress.OnMatchSupervise })
}

func (x *exchange) unanswered(f *finding, why string) *denial {
	d := x.judge(f)
	d.reason += "; " + why
	d.text += "\n" + why
	return d
}

// approved notes in the log that something passed that looks like a credential.
func (x *exchange) approved(f *finding) {
	x.noteFound(f)
	x.entry.Reason = "approved by a person"
}

// digests are those of values, each once. The key is made of the authority's: it
// outlives the sidecar, and is of no use for another bottle.
func (p *Proxy) digests(values []string) []string {
	var out []string
	for _, v := range values {
		mac := hmac.New(sha256.New, p.valueKey)
		mac.Write([]byte(v))
		out = append(out, hex.EncodeToString(mac.Sum(nil)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *CA) valueKey() ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(c.key)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, der)
	mac.Write([]byte("values that a person approved"))
	return mac.Sum(nil), nil
}

// approves reports whether a person approved all of these for that place.
func (p *Policy) approves(digests []string, t egress.Target, now time.Time) bool {
	for _, d := range digests {
		if !slices.ContainsFunc(p.approved, func(v egress.ApprovedValue) bool {
			return v.Digest == d && v.Host == t.Host && v.Port == t.Port && (v.Expires.IsZero() || now.Before(v.Expires))
		}) {
			return false
		}
	}
	return len(digests) > 0
}
