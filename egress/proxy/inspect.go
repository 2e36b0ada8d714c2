package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/bot-bottle/bb/egress"
)

// searchedAs are headers that say how a body is read. Under another spelling,
// which some servers take for the same, they would have it searched as one
// thing and read as another.
var searchedAs = []string{"Content-Encoding", "Content-Type"}

// inspect searches everything of the request that will go out (design, section
// 5, step 6), the body before its first byte leaves.
func (x *exchange) inspect() *denial {
	if x.live.inspector == nil {
		return nil
	}
	if d := x.paused(); d != nil {
		return d
	}
	h := x.r.Header
	for name := range h {
		for _, n := range searchedAs {
			if name != n && sameHeader(name, n) {
				delete(h, name)
			}
		}
	}
	// Frames that are compressed could not be searched.
	dropHeaders(h, []string{"Sec-WebSocket-Extensions"})
	if d := x.inspectHead(); d != nil {
		return d
	}
	if d := x.inspectBody(); d != nil {
		return d
	}
	return x.paused() // requests that came at once have asked no more than those in turn
}

// joins lends buffers for the texts of heads.
var joins = sync.Pool{New: func() any { return new([]byte) }}

// searchHead searches the whole head at once.
func (x *exchange) searchHead() []egress.Hit {
	buf, _ := joins.Get().(*[]byte)
	defer joins.Put(buf)
	b := append((*buf)[:0], x.r.Method...)
	b = append(append(b, '\n'), x.target.Host...)
	b = append(append(b, '\n'), x.url.EscapedPath()...)
	if x.url.RawQuery != "" {
		b = append(append(b, '?'), x.url.RawQuery...)
	}
	logins := false
	for name, values := range x.r.Header {
		if x.keptLogin(name) {
			logins = true
			b = foldASCII(append(b, '\n'), name)
			continue
		}
		b = joinHeader(b, name, values)
	}
	*buf = b
	hits := x.live.inspector.Text(string(b), false)
	if !logins {
		return hits
	}
	b = b[:0]
	for name, values := range x.r.Header {
		if x.keptLogin(name) {
			b = joinHeader(b, name, values)
		}
	}
	*buf = b
	return append(hits, x.live.inspector.Text(string(b), true)...)
}

// joinHeader has the name in lower case: on the way its case changes.
func joinHeader(b []byte, name string, values []string) []byte {
	b = foldASCII(append(b, '\n'), name)
	for _, v := range values {
		b = append(append(b, '\n'), v...)
	}
	return b
}

// keptLogin reports whether step 5 left the header because the login in it is
// the agent's own: it looks like a credential, since it is one.
func (x *exchange) keptLogin(name string) bool {
	r := x.verdict.Route
	return r.Auth == nil && r.TLSPassthrough && (sameHeader(name, "Authorization") ||
		slices.ContainsFunc(loginHeaders, func(l string) bool { return sameHeader(l, name) }))
}

// counted are the hits in a body that count. Where the agent may have a login of
// its own it also renews it: a body that is posted to a token endpoint (RFC 6749,
// 3.2) holds one, so that only known values count there.
func (x *exchange) counted(hits []egress.Hit) []egress.Hit {
	r := x.verdict.Route
	if r.Auth != nil || !r.TLSPassthrough || x.r.Method != http.MethodPost || !strings.HasSuffix(x.target.Path, "/token") {
		return hits
	}
	return slices.DeleteFunc(hits, func(h egress.Hit) bool { return !h.Known })
}

// inspectHead covers what was found, or denies.
func (x *exchange) inspectHead() *denial {
	all := x.searchHead()
	if len(all) == 0 {
		return nil
	}
	f := &finding{}
	out := x.coverHead(f)
	if len(f.hits) == 0 { // it is only there where the parts are seen together
		f.add("the head of the request", all, false)
	}
	if strings.HasPrefix(x.target.Path, "/") {
		out.path = "/" + out.path[1:] // a find may begin with it, as base64 does
	}
	x.entry.Path = short(out.path)
	if !f.redacts(x.verdict.Route) {
		return x.settle(f)
	}
	path, err := url.PathUnescape(out.path)
	if err != nil {
		f.stuck = true
		return x.judge(f)
	}
	x.url.Path, x.url.RawPath, x.url.RawQuery = path, out.path, out.query
	x.r.Header = out.header
	x.target.Path, x.target.RawQuery = out.path, out.query
	// What a rule allowed may not be what is left.
	again := egress.Decide(x.live.routes, x.target, x.p.o.Now())
	if f.stuck = !again.Allowed || again.Route != x.verdict.Route || len(x.searchHead()) > 0; f.stuck {
		return x.judge(f)
	}
	x.redacted(f)
	return nil
}

// redacted notes in the log what was covered. The upstream may tell the agent
// that it was, which answers as much as a denial does.
func (x *exchange) redacted(f *finding) {
	if anyKnown(f.hits) {
		x.p.oracle.hit(x.p.o.Now())
	}
	x.noteRedacted(f)
}

func (x *exchange) noteRedacted(f *finding) {
	x.entry.Verdict = VerdictRedacted
	x.noteFound(f)
}

func (x *exchange) noteFound(f *finding) {
	names := detectors(f.hits)
	if x.entry.Detector != "" && x.entry.Detector != names {
		names = x.entry.Detector + ", " + names
	}
	x.entry.Detector = short(names)
}

// coveredHead is a head without what was found in its parts.
type coveredHead struct {
	path, query string
	header      http.Header
}

// coverHead searches the parts of the head one by one. A method and a host say
// what is done and where: they are not covered.
func (x *exchange) coverHead(f *finding) coveredHead {
	part := func(place, text string, exact, changes bool) string {
		hits := x.live.inspector.Text(text, exact)
		if len(hits) == 0 {
			return text
		}
		f.add(place, hits, changes && coverable(hits, len(text)))
		f.keep([]byte(text), hits)
		return withCover(text, hits)
	}
	part("the method", x.r.Method, false, false)
	part("the host name", x.target.Host, false, false)
	out := coveredHead{
		path:   part("the path", x.url.EscapedPath(), false, true),
		query:  part("the query", x.url.RawQuery, false, true),
		header: make(http.Header, len(x.r.Header)),
	}
	for name, values := range x.r.Header {
		clean, place, exact := name, "the header "+name, x.keptLogin(name)
		lower := strings.ToLower(name)
		if safe := part("the name of a header", lower, false, true); safe != lower {
			clean, place = http.CanonicalHeaderKey(safe), "a header"
		}
		for _, v := range values {
			out.header[clean] = append(out.header[clean], part(place, v, exact, true))
		}
	}
	return out
}

// cleanPath covers in the log what a path shows that was refused before it was
// searched. A reason that quotes the path may quote half of a find.
func (x *exchange) cleanPath() {
	if x.live == nil || x.live.inspector == nil || x.target.Path == "" || x.entry.Detector != "" {
		return
	}
	if hits := x.live.inspector.Text(x.target.Path, false); len(hits) > 0 {
		x.entry.Path = short(withCover(x.target.Path, hits))
		x.entry.Reason = "egress: blocked, and the path holds what was to be covered"
		x.entry.Detector = detectors(hits)
	}
}
