package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
)

const (
	// smallBody is read whole on a route that streams too, as that is stronger.
	smallBody = 1 << 20
)

// limits are measures of time, shorter in tests.
type limits struct {
	// room bounds the wait for memory.
	room time.Duration
	// A body brings least bytes within each window, or is given up.
	window time.Duration
	least  int
}

var usualLimits = limits{room: 10 * time.Second, window: 30 * time.Second, least: 30 << 10}

// digests name exact bytes of a request body (RFC 9530, RFC 3230, RFC 1864).
var digests = []string{"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Content-Length"}

// inspectBody reads the body, searches it, and has it sent from memory. A body
// that breaks or ends early never reaches the upstream.
func (x *exchange) inspectBody() *denial {
	r, route := x.r, x.verdict.Route
	if r.ContentLength == 0 {
		return nil
	}
	if len(r.Header["Content-Type"]) > 1 {
		return deny(http.StatusBadRequest, "egress: malformed request: repeated Content-Type")
	}
	if route.DLP != nil && route.DLP.Stream && (r.ContentLength < 0 || r.ContentLength > smallBody) {
		return x.streamBody()
	}
	if r.ContentLength > egress.MaxWhole {
		return x.tooLargeWhole()
	}
	data, d := x.readWhole()
	if d != nil {
		return d
	}
	delete(r.Header, "Expect") // the body is here
	if len(data) > 0 {
		if data, d = x.searchBody(data); d != nil {
			return d
		}
	}
	x.send(data)
	return nil
}

// send makes data the body that goes out, with its true length.
func (x *exchange) send(data []byte) {
	r := x.r
	delete(r.Header, "Content-Length")
	r.TransferEncoding, r.Trailer = nil, nil
	r.ContentLength = int64(len(data))
	if len(data) == 0 {
		r.Body = http.NoBody
		return
	}
	// A large one is not sent again: its room is wanted.
	x.sent = &sentBody{b: x.held.b, n: x.held.n, data: data, again: len(data) <= smallBody}
	x.held.n = 0 // it is no longer the handler's to give
	r.Body, _ = x.sent.reader()
	if x.sent.again {
		r.GetBody = x.sent.reader
	}
}

// readWhole holds the body. Memory is taken as bytes arrive.
func (x *exchange) readWhole() ([]byte, *denial) {
	limit := egress.MaxWhole + 1
	if n := x.r.ContentLength; n >= 0 {
		limit = int(n) + 1 // with room to see its end
	}
	pace := pace{c: http.NewResponseController(x.w.ResponseWriter), limits: x.p.limits}
	pace.begin()
	var data []byte
	for {
		var err error
		if cap(data) == len(data) {
			if data, err = x.held.room(x.r.Context(), data, limit); err != nil {
				return nil, x.noRoom()
			}
			pace.begin() // waiting was not the agent's doing
		}
		n, err := x.r.Body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > egress.MaxWhole:
			return nil, x.tooLargeWhole()
		case errors.Is(err, io.EOF):
			pace.end()
			return data, nil
		case err != nil:
			return nil, x.brokenBody(err)
		}
		pace.read(n)
	}
}

// brokenBody is the denial of a body that could not be read to its end.
func (x *exchange) brokenBody(err error) *denial {
	var (
		large   *http.MaxBytesError
		timeout net.Error
	)
	switch {
	case errors.As(err, &large):
		return x.tooLarge()
	case x.conn.guard != nil && x.conn.guard.misframed():
		return deny(http.StatusBadRequest, "egress: malformed request: the body's framing is broken")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		if x.r.ProtoMajor == 1 {
			x.w.Header().Set("Connection", "close")
		}
		d := deny(http.StatusRequestTimeout, "egress: the body came too slowly to be held until it is whole")
		d.rule, d.add = x.verdict.Rule, x.lines("dlp: {stream: true}")
		d.text += "; where an answer is awaited before its end (streaming both ways), " + egress.AddTo(d.rule) + ":\n" + d.add
		return d
	}
	return deny(http.StatusBadRequest, "egress: malformed request: the body ended early")
}

// searchBody returns what goes out in place of data, which may be written to.
func (x *exchange) searchBody(data []byte) ([]byte, *denial) {
	h, in := x.r.Header, x.live.inspector
	b := egress.Body{MediaType: h.Get("Content-Type"), Codings: codingsOf(h), Data: data}
	if len(b.Codings) > 0 { // what it decodes to is held beside it
		if err := x.held.take(x.r.Context(), egress.MaxWhole); err != nil {
			return nil, x.noRoom()
		}
		defer x.held.give(egress.MaxWhole)
	}
	plain, hits, err := in.Body(b)
	if err != nil {
		return nil, x.unsearchable("the body", b.Codings, err)
	}
	hits = x.counted(hits)
	f := &finding{}
	f.add("the body", hits, coverable(hits, len(plain)))
	if len(f.hits) == 0 {
		return data, nil
	}
	if !f.redacts(x.verdict.Route) {
		f.keep(plain, hits)
		return data, x.settle(f)
	}
	if len(b.Codings) > 0 {
		if err := x.held.take(x.r.Context(), len(plain)); err != nil {
			return nil, x.noRoom()
		}
	}
	coverBytes(plain, hits)
	b.Codings, b.Data = nil, plain
	if _, left, err := in.Body(b); err != nil || len(x.counted(left)) > 0 {
		f.stuck = true
		return nil, x.judge(f)
	}
	dropHeaders(h, append([]string{"Content-Encoding"}, digests...))
	x.redacted(f)
	return plain, nil
}

// codingsOf lists the content codings but for identity, in lower case.
func codingsOf(h http.Header) []string {
	var codings []string
	for _, v := range h["Content-Encoding"] {
		for c := range strings.SplitSeq(v, ",") {
			if c = strings.ToLower(strings.TrimSpace(c)); c != "" && c != "identity" {
				codings = append(codings, c)
			}
		}
	}
	return codings
}

// pace gives a body up that hardly comes: what it holds, others wait for. An
// answer or a WebSocket that is quiet for long is not its matter.
type pace struct {
	c      *http.ResponseController
	limits limits
	got    int
}

func (p *pace) begin() {
	p.got = 0
	_ = p.c.SetReadDeadline(time.Now().Add(p.limits.window))
}

func (p *pace) read(n int) {
	if p.got += n; p.got >= p.limits.least {
		p.begin()
	}
}

// end lets the connection wait again for as long as it may.
func (p *pace) end() { _ = p.c.SetReadDeadline(time.Time{}) }
