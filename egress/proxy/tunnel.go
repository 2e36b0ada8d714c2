package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// tunnel is a connection that asked for a host as a whole: by CONNECT, or by
// the server name of a ClientHello on port 443.
type tunnel struct {
	p     *Proxy
	host  string
	port  int
	entry Entry

	live    *live
	route   *egress.Route
	verdict egress.Explanation
	target  egress.Target

	sent, received atomic.Int64
}

var errIdle = errors.New("nothing went through the tunnel for too long")

// judge decides whether there is a route for the host at all.
func (t *tunnel) judge() *denial {
	t.live = t.p.live.Load()
	if t.live == nil {
		return notConfigured()
	}
	if t.host == egress.LocalHost {
		return deny(http.StatusForbidden, "egress: "+egress.LocalHost+" is answered over plain http only")
	}
	t.target = egress.Target{Method: t.entry.Method, Scheme: "https", Host: t.host, Port: t.port, Connect: true}
	t.verdict = egress.Decide(t.live.routes, t.target, t.p.o.Now())
	t.entry.Rule = t.verdict.Rule
	if !t.verdict.Allowed {
		return explained(t.verdict)
	}
	t.route = t.verdict.Route
	if t.route.Tunnel && t.live.inspector != nil {
		return t.searchName()
	}
	return nil
}

// searchName looks into all that a tunnel shows: where the route has a wildcard,
// the name is the agent's, and it is about to be resolved.
func (t *tunnel) searchName() *denial {
	x := exchange{p: t.p, live: t.live, target: t.target, verdict: t.verdict}
	if d := x.paused(); d != nil {
		return d
	}
	f := &finding{}
	if f.add("the host name", t.live.inspector.Text(t.host, false), false); len(f.hits) > 0 {
		return x.judge(f)
	}
	return nil
}

// serveConnect answers a CONNECT to a route that is not looked into. It
// connects first, so that a client can read why it could not be done; what it
// sends goes on only after its ClientHello was checked.
func (t *tunnel) serveConnect(g *guard) {
	ctx, end := t.p.begin(context.Background(), t.live, t.target, t.route)
	defer end()
	upstream, d := t.reach(ctx)
	if d != nil {
		t.p.refuseConnect(g, d, t.entry)
		return
	}
	defer upstream.Close()
	defer context.AfterFunc(ctx, func() { _ = g.Close() })()
	g.takeOver()
	_ = g.SetDeadline(time.Now().Add(t.p.o.HeaderTimeout))
	if _, err := g.Write([]byte(established)); err != nil {
		_ = g.Close()
		return
	}
	h, first, err := readHello(g)
	if err != nil {
		t.p.refuseTLS(g, t.host, t.host, err, t.entry)
		return
	}
	if why := h.differs(t.host); why != "" {
		t.p.refuseHello(g, deny(http.StatusForbidden, why), unrecognizedName, t.entry)
		return
	}
	t.carry(ctx, g, upstream, first)
}

// serve does the same for a client of port 443, whose ClientHello is here.
func (t *tunnel) serve(c net.Conn, h *hello, first []byte) {
	if why := h.differs(t.host); why != "" {
		t.p.refuseHello(c, deny(http.StatusForbidden, why), unrecognizedName, t.entry)
		return
	}
	ctx, end := t.p.begin(context.Background(), t.live, t.target, t.route)
	defer end()
	upstream, d := t.reach(ctx)
	if d != nil {
		t.p.refuseHello(c, d, internalError, t.entry)
		return
	}
	defer upstream.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	t.carry(ctx, c, upstream, first)
}

// reach connects to the host, or says why not.
func (t *tunnel) reach(ctx context.Context) (net.Conn, *denial) {
	up := t.live.upstreams[t.route]
	err := up.checkHost(t.host)
	if err == nil {
		var c net.Conn
		if c, err = up.dial(ctx, "tcp", egress.Authority(t.host, t.port, 0)); err == nil {
			return c, nil
		}
	}
	if errors.Is(context.Cause(ctx), errCut) {
		return nil, deny(http.StatusForbidden, "egress: cut: "+errCut.Error())
	}
	x := exchange{p: t.p, live: t.live, conn: &connInfo{}, target: t.target, verdict: t.verdict}
	return nil, x.failure(err)
}

// carry passes bytes both ways, untouched, until both directions have ended,
// the policy forbids it, or nothing has moved for long.
func (t *tunnel) carry(ctx context.Context, client, upstream net.Conn, first []byte) {
	flight := ctx
	ctx, stop := context.WithCancelCause(flight)
	defer stop(nil)
	defer context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = upstream.Close()
	})()
	_ = client.SetDeadline(time.Time{})
	idle := time.AfterFunc(t.p.o.TunnelTimeout, func() { stop(errIdle) })
	defer idle.Stop()
	moved := func() { idle.Reset(t.p.o.TunnelTimeout) }

	var both sync.WaitGroup
	both.Go(func() { t.pump(client, upstream, nil, &t.received, moved, stop) })
	t.pump(upstream, client, first, &t.sent, moved, stop)
	both.Wait()
	_ = client.Close()

	e := t.entry
	e.Verdict, e.Status, e.Reason = VerdictAllowed, http.StatusOK, egress.NotInspected
	switch {
	case errors.Is(context.Cause(flight), errCut):
		e.Verdict, e.Reason = VerdictCut, errCut.Error()
	case errors.Is(context.Cause(ctx), errIdle):
		e.Reason = errIdle.Error()
	}
	e.Sent, e.Received = t.sent.Load(), t.received.Load()
	e.Millis = millis(t.p.o.Now().Sub(e.Time))
	t.p.o.Log(e)
}

var errBroken = errors.New("one side broke off")

// pump moves one direction. An end passes on as an end; a side that breaks off
// ends both, so that no end of the other can be taken for a clean one.
func (t *tunnel) pump(dst, src net.Conn, first []byte, n *atomic.Int64, moved func(), stop context.CancelCauseFunc) {
	buf := make([]byte, 16<<10) // a TLS record
	for data := first; ; {
		if len(data) > 0 {
			w, err := dst.Write(data)
			n.Add(int64(w))
			if err != nil {
				return // it takes no more, but may still have something to say
			}
			moved()
		}
		r, err := src.Read(buf)
		data = buf[:r]
		switch {
		case r > 0:
		case errors.Is(err, io.EOF):
			_ = closeWrite(dst)
			return
		case err != nil:
			stop(errBroken)
			return
		}
	}
}
