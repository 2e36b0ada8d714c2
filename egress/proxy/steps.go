package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// exchange is one request on its way through the steps.
type exchange struct {
	p    *Proxy
	live *live
	conn *connInfo
	w    *recorder
	r    *http.Request

	target  egress.Target
	verdict egress.Explanation
	up      *upstream
	url     *url.URL // what goes out
	entry   Entry
	done    bool // answered by an earlier step

	held   holding // memory of the body
	sent   *sentBody
	stream *searchedBody
	socket *searchedSocket
}

// steps is the order of work for one request (design, section 5). A step ends
// the request with a denial; nothing leaves before the last one.
var steps = []func(*exchange) *denial{
	(*exchange).parse,      // 1: strictly, after the guard
	(*exchange).identify,   // 2: tunnel = SNI = Host, per request; 0: the local pages
	(*exchange).decide,     // 3, 4: git, then the route
	(*exchange).strip,      // 5: the agent's own logins
	(*exchange).inspect,    // 6: what the agent sent, before a credential is added
	(*exchange).address,    // 7: names are resolved and checked where they are dialled
	(*exchange).credential, // 8: present, or nothing goes out
	(*exchange).forward,    // 8, 9: inject, send, stream the answer back
}

// ServeHTTP runs the steps. A panic ends the connection and prints nothing: a
// stack could show a credential.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, ok := r.Context().Value(connKey{}).(*connInfo)
	if !ok {
		deny(http.StatusForbidden, "egress: unknown connection").write(w)
		return
	}
	x := &exchange{p: p, live: p.live.Load(), conn: conn}
	x.w = &recorder{ResponseWriter: w, guard: conn.guard}
	x.entry = Entry{Time: p.o.Now(), Method: short(r.Method), Verdict: VerdictAllowed}
	// The server goes by the type of its own request's body.
	body := &countedBody{ReadCloser: r.Body}
	x.r = r.WithContext(r.Context())
	x.r.Body = body
	x.held = holding{b: &p.bodies, wait: p.limits.room}
	defer func() {
		failure := recover()
		if x.entry.Verdict == VerdictDenied {
			x.cleanPath()
		}
		if x.stream != nil {
			x.stream.finish() // also where a later step denied it
		}
		if x.sent != nil {
			x.sent.end()
		}
		x.held.free()
		x.entry.Sent, x.entry.Received = body.n.Load(), x.w.n
		if x.entry.Status = x.w.status; failure != nil &&
			(x.entry.Verdict == VerdictAllowed || x.entry.Verdict == VerdictRedacted) {
			x.entry.Verdict = VerdictFailed
		}
		x.entry.Millis = millis(p.o.Now().Sub(x.entry.Time))
		p.o.Log(x.entry)
		if failure != nil {
			panic(http.ErrAbortHandler)
		}
	}()
	if d := x.run(); d != nil {
		x.refuse(d)
	}
}

func (x *exchange) run() *denial {
	select {
	case x.p.requests <- struct{}{}:
		defer func() { <-x.p.requests }()
	default:
		return deny(http.StatusServiceUnavailable, "egress: too many requests at once")
	}
	for _, step := range steps {
		if d := step(x); d != nil || x.done {
			return d
		}
	}
	return nil
}

func (x *exchange) refuse(d *denial) {
	x.entry.Verdict, x.entry.Reason = VerdictDenied, short(d.reason)
	if d.detector != "" {
		x.entry.Detector = d.detector
	}
	if d.status >= 500 {
		x.entry.Verdict = VerdictFailed
	}
	if d.status == http.StatusBadRequest && x.r.ProtoMajor == 1 {
		x.w.Header().Set("Connection", "close")
	}
	d.write(x.w)
}

// parse repeats for HTTP/2 what the guard does for HTTP/1: a path that holds a
// space or a whole URL would mean something else to an HTTP/1.1 upstream.
func (x *exchange) parse() *denial {
	r := x.r
	if g := x.conn.guard; g != nil && g.reason() != nil && r.Method == methodRefused {
		x.entry.Method = ""
		return deny(http.StatusBadRequest, "egress: malformed request: "+g.reason().Error())
	}
	err := checkTarget(r.RequestURI)
	switch {
	case err != nil:
		return deny(http.StatusBadRequest, "egress: malformed request: "+err.Error())
	case !egress.IsToken(r.Method) || r.Method == methodRefused || r.Method == http.MethodConnect:
		return deny(http.StatusBadRequest, "egress: malformed request: bad method")
	case r.ProtoMajor == 2 && !strings.HasPrefix(r.RequestURI, "/"):
		return deny(http.StatusBadRequest, "egress: malformed request: the path must begin with a slash")
	case r.URL.User != nil || r.URL.Opaque != "":
		return deny(http.StatusBadRequest, "egress: malformed request: user information in the URL")
	}
	for name := range r.Header {
		if egress.FramingLookAlike(name) {
			return deny(http.StatusBadRequest, "egress: malformed request: "+errLookAlike.Error())
		}
	}
	// An upgrade that is not granted ends the connection, since the guard has
	// stopped reading requests on it.
	if r.Header.Get("Upgrade") != "" && r.ProtoMajor == 1 {
		x.w.Header().Set("Connection", "close")
	}
	return nil
}

// identify settles where the request goes, and that everything that names the
// place says the same (attacks B1, B2, B6, B9).
func (x *exchange) identify() *denial {
	t := &x.target
	t.Method, t.Path, t.RawQuery = x.r.Method, x.r.URL.EscapedPath(), x.r.URL.RawQuery
	x.entry.Path = short(t.Path)
	authority, standard := x.r.URL.Host, 80
	t.Scheme = "http"
	switch {
	case x.conn.host != "":
		t.Scheme, authority, standard = "https", x.r.Host, 443
	case x.conn.plain:
		authority = x.r.Host
	}
	host, port, err := egress.SplitAuthority(authority, standard)
	if err != nil {
		return deny(http.StatusBadRequest, "egress: malformed request: "+err.Error())
	}
	t.Host, t.Port = host, port
	x.entry.Host, x.entry.Port = host, port
	fields := x.r.Header["Host"] // HTTP/2 only: net/http takes it out of HTTP/1
	if len(fields) > 1 {
		return deny(http.StatusBadRequest, "egress: malformed request: repeated host")
	}
	for _, field := range fields {
		h, n, err := egress.SplitAuthority(field, standard)
		if err != nil || h != host || n != port {
			return deny(http.StatusBadRequest, "egress: malformed request: the host field differs from :authority")
		}
	}
	delete(x.r.Header, "Host")
	if x.live == nil {
		return notConfigured()
	}
	switch {
	case x.conn.host != "" && (host != x.conn.host || port != x.conn.port):
		return deny(http.StatusForbidden, "egress: the request is for "+egress.Authority(host, port, 0)+
			", and its tunnel was opened to "+egress.Authority(x.conn.host, x.conn.port, 0))
	case x.conn.plain && port != 80:
		return deny(http.StatusForbidden, "egress: the request is for "+egress.Authority(host, port, 0)+", and it came to port 80")
	case x.conn.host == "" && x.r.URL.Scheme != "http" && (!x.conn.plain || x.r.URL.Scheme != ""):
		return deny(http.StatusBadRequest, "egress: malformed request: https needs CONNECT")
	case x.conn.host == "" && host == egress.LocalHost && port == 80:
		x.entry.Verdict, x.done = VerdictLocal, true
		return x.local()
	}
	return nil
}

// decide looks the route up. A wanted upgrade other than WebSocket is taken out
// of the request: a server may ignore it, a client must live with that.
func (x *exchange) decide() *denial {
	x.target.WebSocket = x.r.ProtoMajor == 1 && equalASCII(x.r.Header.Get("Upgrade"), "websocket") &&
		listed(x.r.Header["Connection"], "upgrade")
	if !x.target.WebSocket {
		delete(x.r.Header, "Upgrade")
	}
	x.verdict = egress.Decide(x.live.routes, x.target, x.p.o.Now())
	x.entry.Rule = x.verdict.Rule
	if !x.verdict.Allowed {
		return explained(x.verdict)
	}
	if x.verdict.Route.Tunnel { // it was none when this connection began
		x.w.Header().Set("Connection", "close")
		return deny(http.StatusForbidden, "egress: the route is now a tunnel, which is not looked into: connect again")
	}
	x.up = x.live.upstreams[x.verdict.Route]
	if limit := x.verdict.Route.MaxBody; limit > 0 {
		if x.r.ContentLength > limit {
			return x.tooLarge()
		}
		x.r.Body = http.MaxBytesReader(x.w, x.r.Body, limit)
	}
	u := x.r.URL
	x.url = &url.URL{
		Scheme: x.target.Scheme, Host: x.authority(),
		Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery,
	}
	return nil
}

// authority is the canonical host and port: never the agent's spelling.
func (x *exchange) authority() string {
	standard := 443
	if x.target.Scheme == "http" {
		standard = 80
	}
	return egress.Authority(x.target.Host, x.target.Port, standard)
}

func (x *exchange) tooLarge() *denial {
	d := deny(http.StatusRequestEntityTooLarge, fmt.Sprintf(
		"egress: the body is larger than the %d bytes that max_body of the rule allows (rule: %s)", x.verdict.Route.MaxBody, x.verdict.Rule))
	d.rule = x.verdict.Rule
	d.text += "; send less at once, or have max_body raised there"
	return d
}

// address refuses an IP literal before anything is set up for it. A name is
// resolved where it is dialled, so that the address that was checked is the
// one that is used.
func (x *exchange) address() *denial {
	if err := x.up.checkHost(x.target.Host); err != nil {
		return x.internal(err)
	}
	return nil
}

func (x *exchange) credential() *denial {
	if x.verdict.Route.Auth != nil && x.up.secret == "" {
		d := deny(http.StatusBadGateway, "egress: the credential of the route for "+
			egress.Authority(x.target.Host, x.target.Port, 443)+" is not set; the request was not sent")
		d.rule = x.verdict.Rule
		return d
	}
	return nil
}

// listed looks for a token in a comma-separated header.
func listed(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if equalASCII(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
