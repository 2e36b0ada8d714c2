package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// finding is what was found in one request, and whether all of it can be
// covered.
type finding struct {
	place string // the first
	hits  []egress.Hit
	stuck bool
	// values are the texts of the hits, where each has bounds.
	values []string
}

func (f *finding) add(place string, hits []egress.Hit, coverable bool) {
	if len(hits) == 0 {
		return
	}
	if f.place == "" {
		f.place = place
	}
	f.hits = append(f.hits, hits...)
	f.stuck = f.stuck || !coverable
}

// redacts reports whether the rule has every hit covered.
func (f *finding) redacts(r *egress.Route) bool {
	for _, h := range f.hits {
		if r.Action(h) != egress.OnMatchRedact {
			return false
		}
	}
	return !f.stuck
}

// inContext is for an agent that sends its whole conversation with every turn.
const inContext = "Where it is in a conversation (what env prints holds the canary), " +
	"every turn that repeats it is refused: drop it from the context, or start a new session"

// judge is the denial of a finding. It names the detector and never the value;
// it changes nothing of the exchange, since streams are judged elsewhere.
func (x *exchange) judge(f *finding) *denial {
	route := x.verdict.Route
	d := deny(http.StatusForbidden, "egress: blocked: "+f.place+" holds ")
	d.rule, d.detector = x.verdict.Rule, detectors(f.hits)
	if anyKnown(f.hits) {
		x.p.oracle.hit(x.p.o.Now())
		d.text += "a known value: one that the sidecar holds, or the bottle's canary"
	} else {
		d.text += "what looks like a credential (detector: " + d.detector + ")"
	}
	d.text += " (rule: " + d.rule + ")"
	d.reason = d.text
	if slices.ContainsFunc(f.hits, func(h egress.Hit) bool { return route.Action(h) == egress.OnMatchSupervise }) && !x.mayAsk(f) {
		d.reason += "; nobody can be asked about it"
	}
	switch {
	case anyKnown(f.hits):
		d.text += "; take it out of the request: no rule allows it. " + inContext
	case f.stuck:
		d.text += "; it cannot be covered where it is: take it out of the request"
	default:
		d.add = x.lines("dlp: {on_match: redact}")
		d.text += "; take it out of the request, or have it covered, for which " + egress.AddTo(d.rule) + ":\n" + d.add
	}
	return d
}

// unsearchable is the denial where the search could not be done.
func (x *exchange) unsearchable(what string, codings []string, err error) *denial {
	var d *denial
	switch {
	case errors.Is(err, egress.ErrTooDeep):
		d = deny(http.StatusRequestEntityTooLarge, "egress: blocked: "+what+
			" decodes to more than can be looked through; send less at once, or less deeply encoded")
	case errors.Is(err, egress.ErrUndecodable) && len(codings) > 0:
		d = deny(http.StatusForbidden, "egress: blocked: "+what+" has the content coding "+
			strconv.QuoteToASCII(clipped(strings.Join(codings, ", ")))+
			", which is unknown here, or broken, so that nothing can be looked for in it; send it without Content-Encoding")
	case errors.Is(err, egress.ErrUndecodable):
		d = deny(http.StatusForbidden, "egress: blocked: "+what+" is in a coding that it does not declare, or declares one that it is not in, "+
			"so that nothing can be looked for in it; send it plain")
	default: // nothing of the error is shown
		d = deny(http.StatusForbidden, "egress: blocked: "+what+" could not be searched")
	}
	d.rule = x.verdict.Rule
	return d
}

func clipped(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return s
}

// lines is the manifest's entry of the deciding route with one more key.
func (x *exchange) lines(key string) string {
	host, port := x.verdict.Route.Host, ""
	if strings.ContainsAny(host, "*:") {
		host = strconv.Quote(host)
	}
	if n := x.verdict.Route.Port; n != 443 {
		port = "\n      port: " + strconv.Itoa(n)
	}
	return "egress:\n  routes:\n    - host: " + host + port + "\n      " + key
}

// tooLargeWhole says how a body passes that is larger than what is held.
func (x *exchange) tooLargeWhole() *denial {
	d := deny(http.StatusRequestEntityTooLarge, fmt.Sprintf(
		"egress: the body is larger than the %d MiB that are searched as a whole (rule: %s)", egress.MaxWhole>>20, x.verdict.Rule))
	d.rule, d.add = x.verdict.Rule, x.lines("dlp: {stream: true}")
	d.text += "; to have it searched as it passes, which is weaker, " + egress.AddTo(d.rule) + ":\n" + d.add
	return d
}

func (x *exchange) noRoom() *denial {
	return deny(http.StatusServiceUnavailable, fmt.Sprintf(
		"egress: bodies under way fill the %d MiB that are kept for them; send fewer large ones at once", x.p.bodies.size>>20))
}

// paused is the denial while nothing passes (see oracle), or nil.
func (x *exchange) paused() *denial {
	left := x.p.oracle.closed(x.p.o.Now())
	if left <= 0 {
		return nil
	}
	seconds := int((left + time.Second - 1) / time.Second)
	d := deny(http.StatusTooManyRequests, fmt.Sprintf("egress: %d requests within a minute held a value that the sidecar holds, "+
		"or the bottle's canary; nothing passes for another %d seconds", oracleHits, seconds))
	d.text += ". " + inContext
	d.retryAfter = strconv.Itoa(seconds)
	return d
}
