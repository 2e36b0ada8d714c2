package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/dns"
	"github.com/bot-bottle/bb/egress/supervise"
)

const (
	maxPreface     = 64
	prefaceTimeout = 5 * time.Second
	refuseTimeout  = 2 * time.Second
	// maxDrain is what a refused client may still send before it is cut off.
	maxDrain = 64 << 10
	// maxGitConns clients of the git gate at once: the proxy's never wait for
	// them, and the processes that serve them fit into a container's limit.
	maxGitConns = 32
	// maxAskers ask a person at once: each may have two connections.
	maxAskers = 32
)

const noPolicy = "the sidecar of this bottle has no policy yet, so nothing may pass: run `bb apply` on the host"

// dispatch takes the connections of the door to their services. Everything that
// arrives here was written by the agent, the preface included.
type dispatch struct {
	configured func() bool
	proxy      Proxy
	gate       Gate
	gits       chan struct{} // one for each client of the gate
	names      dns.Names
	supervised func() bool
	tools      func() *supervise.Server
	asking     chan struct{}
	timeout    time.Duration // for the preface; shorter in tests
}

// newDispatch takes what is told of names that are denied.
func newDispatch(s *state, denied func(name string)) *dispatch {
	return &dispatch{
		configured: s.configured, proxy: s.proxy, gate: s.gate, gits: make(chan struct{}, maxGitConns),
		supervised: s.supervised, tools: s.tools, asking: make(chan struct{}, maxAskers),
		names: noted(dns.Policy(s.proxy.Covers), denied), timeout: prefaceTimeout,
	}
}

// noted tells of every name that names does not know.
func noted(names dns.Names, denied func(name string)) dns.Names {
	return func(name string) (netip.Addr, bool) {
		addr, ok := names(name)
		if !ok {
			denied(name)
		}
		return addr, ok
	}
}

func (d *dispatch) serve(conn *net.UnixConn) {
	if conn.SetDeadline(time.Now().Add(d.timeout)) != nil {
		return
	}
	service, err := readPreface(conn)
	if err != nil || conn.SetDeadline(time.Time{}) != nil {
		return
	}
	switch service {
	case egress.ServiceDNS:
		d.names.ServeConn(conn)
	case egress.ServiceProxy:
		d.proceed(conn, d.proxy.ServeConn)
	case egress.ServiceHTTP:
		d.proceed(conn, d.proxy.ServePlain)
	case egress.ServiceTLS:
		if d.configured() { // a client of it could not read a reason
			d.proxy.ServeTLS(conn)
		}
	case egress.ServiceGit:
		d.git(conn)
	case egress.ServiceMCP:
		d.ask(conn)
	}
	// Unknown words: closed.
}

// proceed hands over a client that speaks HTTP, or tells it why not.
func (d *dispatch) proceed(conn *net.UnixConn, serve func(*net.UnixConn)) {
	if !d.configured() {
		refuse(conn, noPolicy)
		return
	}
	serve(conn)
}

// ask hands over a client of the tools that an agent asks with.
func (d *dispatch) ask(conn *net.UnixConn) {
	switch {
	case !d.configured():
		refuse(conn, noPolicy)
		return
	case !d.supervised():
		refuse(conn, errNotSupervised.Error())
		return
	}
	select {
	case d.asking <- struct{}{}:
		defer func() { <-d.asking }()
		d.tools().ServeConn(conn)
	default:
		refuse(conn, "too many ask at once: try again")
	}
}

// git hands over a client of the git gate. There are few of them at once: what
// serves one are processes.
func (d *dispatch) git(conn *net.UnixConn) {
	if !d.configured() {
		refuseGit(conn, noPolicy)
		return
	}
	select {
	case d.gits <- struct{}{}:
		defer func() { <-d.gits }()
		d.gate.ServeConn(conn)
	default:
		refuseGit(conn, "too many connections to the git gate at once: try again")
	}
}

// readPreface reads the first line byte by byte, so that nothing behind it is
// taken away from the service.
func readPreface(r io.Reader) (string, error) {
	line, err := readLine(r, maxPreface)
	if err != nil {
		return "", err
	}
	service, ok := strings.CutPrefix(line, "bb1 ")
	if !ok {
		return "", errors.New("not a preface")
	}
	return service, nil
}

// readLine reads up to a line feed, without it, and not a byte further.
func readLine(r io.Reader, limit int) (string, error) {
	line := make([]byte, 0, limit)
	for b := make([]byte, 1); len(line) < limit; {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
	return "", fmt.Errorf("no line in %d bytes", limit)
}

// refuse says why to a program that speaks HTTP.
func refuse(conn *net.UnixConn, why string) {
	if body, err := json.Marshal(map[string]string{"error": "egress: " + why}); err == nil {
		answer(conn, "application/json", string(body))
	}
}

// refuseGit says why to git, which shows plain text on lines "remote: ".
func refuseGit(conn *net.UnixConn, why string) { answer(conn, "text/plain", "git gate: "+why) }

// answer answers an HTTP client once it has begun to speak, and takes in a
// little of what it is still sending so that the answer is not lost to a reset.
func answer(conn *net.UnixConn, mediaType, body string) {
	if conn.SetDeadline(time.Now().Add(refuseTimeout)) != nil {
		return
	}
	if n, err := conn.Read(make([]byte, 1)); n == 0 || err != nil {
		return
	}
	head := "HTTP/1.1 403 Forbidden\r\nContent-Type: " + mediaType + "\r\nConnection: close\r\n"
	if _, err := fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s\n", head, len(body)+1, body); err != nil {
		return
	}
	if conn.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxDrain))
	}
}
