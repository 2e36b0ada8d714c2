package approval

import (
	"slices"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Live is what of an overlay is in force.
func (o Overlay) Live(now time.Time) Overlay {
	o.Routes = slices.DeleteFunc(slices.Clone(o.Routes), func(e Entry) bool { return e.Route.Expired(now) })
	o.Values = slices.DeleteFunc(slices.Clone(o.Values), func(v Value) bool { return v.ended(now) })
	return o
}

func (v Value) ended(now time.Time) bool {
	return !v.Value.Expires.IsZero() && !now.Before(v.Value.Expires)
}

// Empty reports whether nothing is approved.
func (o Overlay) Empty() bool { return len(o.Routes)+len(o.Values) == 0 }

// Allowed are the approved routes alone, as egress.Approve takes them.
func (o Overlay) Allowed() (out []egress.Route) {
	for _, e := range o.Routes {
		r := e.Route
		r.Approved, r.Source = []string{e.Proposal}, e.source(r.Expires)
		out = append(out, r)
	}
	return out
}

// source says with the date what a person reads days later too.
func (w Word) source(expires time.Time) string {
	const when = "2006-01-02 15:04"
	text := "approved " + w.At.Local().Format(when)
	if !expires.IsZero() {
		text += ", expires " + expires.Local().Format(when)
	}
	return text
}

// Passing are the approved values alone.
func (o Overlay) Passing() (out []egress.ApprovedValue) {
	for _, v := range o.Values {
		out = append(out, v.Value)
	}
	return out
}

// Apply puts an overlay onto the live half of a spec, in the place of one that is
// there already. What ended is put there too, where it allows nothing: so the end
// of an approval changes no bottle, and is no drift. The next approval leaves it
// out. It returns what was left out because the manifest has another login for
// the host than the one that a person knew of.
func (o Overlay) Apply(live *spec.Live) (left []Entry, err error) {
	declared := egress.Declared(live.Routes)
	fits := o
	fits.Routes = nil
	for _, e := range o.Routes {
		if e.Auth.Same(Login(declared, live.Tokens, e.Route)) {
			fits.Routes = append(fits.Routes, e)
		} else {
			left = append(left, e)
		}
	}
	merged, err := egress.Approve(declared, fits.Allowed())
	if err != nil {
		return left, diag.Errorf("what was approved does not fit: %v", err).WithHint("bb supervise revoke takes it back")
	}
	live.Routes, live.Values = merged, o.Passing()
	return left, nil
}

// Login is the login that the declared routes have for an approved one's host, as
// an Entry keeps it; tokens maps slots to references.
func Login(routes []egress.Route, tokens map[string]string, r egress.Route) *egress.Auth {
	base := egress.Base(routes, r.Host, r.Port)
	if base == nil || base.Auth == nil {
		return nil
	}
	auth := *base.Auth
	if ref, ok := tokens[auth.Slot]; ok {
		auth.TokenRef = ref
	}
	auth.Slot = ""
	return &auth
}

// ends is when what is approved now for so long ends; zero means for good.
func (w Word) ends(lasts time.Duration) time.Time {
	if lasts <= 0 {
		return time.Time{}
	}
	return w.At.Add(lasts).Truncate(time.Second)
}

// Approve adds a route to what is in force, for so long; zero means for good. Auth
// is its host's Login.
func (o Overlay) Approve(r egress.Route, auth *egress.Auth, w Word, lasts time.Duration) Overlay {
	o = o.Live(w.At)
	o.Routes = append(o.Routes, Entry{
		Route: egress.Route{Host: r.Host, Port: r.Port, Matches: r.Matches, Expires: w.ends(lasts)},
		Auth:  auth, Word: w,
	})
	return o
}

// ApproveHeld adds the values of a request that was held, for so long; zero means
// for good.
func (o Overlay) ApproveHeld(h egress.HeldValue, w Word, lasts time.Duration) Overlay {
	o = o.Live(w.At)
	for _, d := range h.Digests {
		o.Values = append(o.Values, Value{
			Value: egress.ApprovedValue{Digest: d, Host: h.Host, Port: h.Port, Expires: w.ends(lasts)},
			What:  h.Detector + " in " + h.Place, Word: w,
		})
	}
	return o
}

// Revoke takes back what a proposal was approved as; "" takes back all. It
// returns what is left, and what goes.
func (o Overlay) Revoke(proposal string) (left, gone Overlay) {
	left, gone = o, o
	goes := func(w Word) bool { return proposal == "" || w.Proposal == proposal }
	left.Routes = slices.DeleteFunc(slices.Clone(o.Routes), func(e Entry) bool { return goes(e.Word) })
	left.Values = slices.DeleteFunc(slices.Clone(o.Values), func(v Value) bool { return goes(v.Word) })
	gone.Routes = slices.DeleteFunc(slices.Clone(o.Routes), func(e Entry) bool { return !goes(e.Word) })
	gone.Values = slices.DeleteFunc(slices.Clone(o.Values), func(v Value) bool { return !goes(v.Word) })
	return left, gone
}

// Is reports whether a route of a spec is one that was approved.
func Is(r egress.Route) bool { return len(r.Approved) > 0 }
