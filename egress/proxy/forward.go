package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"

	"github.com/bot-bottle/bb/egress"
)

var quiet = log.New(io.Discard, "", 0)

const onePiece = 4 << 10

// forward sends the request and streams the answer back. Redirects are the
// agent's to follow: the next request is decided about anew (attack C6).
func (x *exchange) forward() *denial {
	ctx, end := x.p.begin(x.r.Context(), x.live, x.target, x.verdict.Route)
	defer end()
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	if x.stream != nil {
		x.stream.cut = cut
	}
	x.w.redact = x.up.redact
	proxy := httputil.ReverseProxy{
		Rewrite:       x.rewrite,
		Transport:     x.up.transport,
		FlushInterval: -1,
		ErrorLog:      quiet,
		BufferPool:    &x.p.buffers,
		ErrorHandler:  x.failed,
	}
	proxy.ModifyResponse = func(res *http.Response) error {
		// A short answer of known length goes out in one piece; every other is
		// passed on as it comes.
		if 0 <= res.ContentLength && res.ContentLength <= onePiece && len(res.Trailer) == 0 {
			proxy.FlushInterval = 0
		}
		return x.answered(res)
	}
	defer func() {
		x.searchEnded()
		if errors.Is(context.Cause(ctx), errCut) {
			x.entry.Verdict, x.entry.Reason = VerdictCut, errCut.Error()
		}
	}()
	proxy.ServeHTTP(x.w, x.r.WithContext(ctx))
	x.up.redact.header(x.w.Header()) // trailers
	return nil
}

// searchEnded puts in the log what was found while the request was under way:
// part of it had left, so that it was cut and not denied.
func (x *exchange) searchEnded() {
	var d *denial
	if x.stream != nil {
		d = x.stream.finish()
	}
	if x.socket != nil {
		var f *finding
		if d, f = x.socket.finish(); len(f.hits) > 0 {
			x.noteRedacted(f)
		}
	}
	if d != nil {
		x.entry.Verdict, x.entry.Reason, x.entry.Detector = VerdictCut, short(d.reason), d.detector
	}
}

// rewrite runs after hop-by-hop headers, and those that Connection nominates,
// are gone (attack C4): an agent cannot have the credential taken off again.
func (x *exchange) rewrite(r *httputil.ProxyRequest) {
	out := r.Out
	out.URL, out.Host = x.url, x.url.Host
	out.Trailer = nil // a login could ride in one
	out.Header.Del("Trailer")
	x.inject(out)
	x.up.authorizeHop(out)
}

// failed turns an error of the transport into an answer. The error's own text
// may quote what the upstream sent, and with it a credential: it is not shown.
func (x *exchange) failed(_ http.ResponseWriter, r *http.Request, err error) {
	if x.stream != nil {
		if d := x.stream.found.Load(); d != nil {
			x.refuse(d)
			return
		}
	}
	d := x.failure(err)
	if errors.Is(context.Cause(r.Context()), errCut) {
		d = deny(http.StatusForbidden, "egress: cut: "+errCut.Error())
	}
	x.refuse(d)
	if d.status != http.StatusForbidden { // its head has left: it was allowed
		x.entry.Verdict = VerdictFailed
	}
}

func (x *exchange) failure(err error) *denial {
	where := egress.Authority(x.target.Host, x.target.Port, 443)
	var (
		internal *addressError
		large    *http.MaxBytesError
		cert     *tls.CertificateVerificationError
		timeout  net.Error
		hop      *hopError
	)
	switch {
	case errors.As(err, &hop):
		return hop.denial(where)
	case errors.As(err, &internal):
		return x.internal(internal)
	case errors.As(err, &large):
		return x.tooLarge()
	case x.conn.guard != nil && x.conn.guard.misframed():
		return deny(http.StatusBadRequest, "egress: malformed request: the body's framing is broken")
	case errors.Is(err, errResolve):
		return deny(http.StatusBadGateway, "egress: the name "+x.target.Host+" does not resolve")
	case errors.Is(err, errSwitched):
		return deny(http.StatusBadGateway, "egress: "+where+" answered with a protocol that was not asked for")
	case errors.Is(err, errCoding):
		return deny(http.StatusBadGateway, "egress: "+where+" answered in "+errCoding.Error()+
			", in which the injected credential cannot be looked for; the answer was not passed on")
	case errors.As(err, &cert):
		return deny(http.StatusBadGateway, "egress: the certificate of "+where+
			" is not trusted; a company's own root belongs in egress.upstream_ca")
	case errors.As(err, &timeout) && timeout.Timeout():
		return deny(http.StatusGatewayTimeout, "egress: "+where+" did not answer in time")
	}
	return deny(http.StatusBadGateway, "egress: the connection to "+where+" failed")
}

// internal is the denial of an address, with the line that would allow it.
func (x *exchange) internal(err error) *denial {
	e := x.verdict
	e.Allowed, e.Status, e.Reason = false, http.StatusForbidden, err.Error()
	var a *addressError
	if errors.As(err, &a) && !a.never {
		cidr := netip.PrefixFrom(a.addr, a.addr.BitLen()).String()
		e.Add = "egress:\n  routes:\n    - host: " + e.Host + "\n      pipelock: {ssrf_ip_allowlist: [\"" + cidr + "\"]}"
	}
	return explained(e)
}

// bufferPool lends copy buffers to answers.
type bufferPool struct{ pool sync.Pool }

func (b *bufferPool) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *bufferPool) Put(buf []byte) { b.pool.Put(&buf) }
