package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bot-bottle/bb/egress"
)

// Bounds of the server's clients.
const (
	maxBody   = 64 << 10
	maxHead   = 16 << 10
	idleTime  = 2 * time.Minute
	callLimit = egress.ProposalWait + 15*time.Second
)

// Server serves the tools that an agent asks with: MCP over streamable HTTP,
// without sessions, which a client could leave behind.
type Server struct {
	queue  *Queue
	routes func() []egress.Route
	wait   time.Duration // shorter in tests
	http   *http.Server
	conns  chan net.Conn
	ended  chan struct{}
}

// NewServer makes one; routes are those in force.
func NewServer(q *Queue, routes func() []egress.Route, build string) *Server {
	s := &Server{queue: q, routes: routes, wait: egress.ProposalWait, conns: make(chan net.Conn), ended: make(chan struct{})}
	tools := mcp.NewServer(&mcp.Implementation{Name: "bb-supervise", Version: build}, &mcp.ServerOptions{Instructions: instructions})
	mcp.AddTool(tools, &mcp.Tool{Name: "egress-block", Description: "Ask a person to allow one host that egress blocks. Waits up to 30 s; when the answer is pending, go on with other work and call it again with the same arguments to wait on."}, s.egressBlock)
	mcp.AddTool(tools, &mcp.Tool{Name: "capability-block", Description: "Ask a person for another image, when a program is missing that cannot be installed here. Send the whole Dockerfile. It is never built by itself."}, s.capabilityBlock)
	mcp.AddTool(tools, &mcp.Tool{Name: "list-egress-routes", Description: "List what this bottle may reach."}, s.listRoutes)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	mux := http.NewServeMux()
	mux.Handle("/mcp", http.MaxBytesHandler(single(handler), maxBody))
	s.http = &http.Server{
		Handler: mux, MaxHeaderBytes: maxHead, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second,
		WriteTimeout: callLimit, IdleTimeout: idleTime, ErrorLog: log.New(io.Discard, "", 0),
	}
	go s.http.Serve(&listener{s: s}) //nolint:errcheck // it ends with Close
	return s
}

const instructions = "This bottle reaches only what its manifest allows. A 403 whose error begins with 'egress: ' is such a block: ask with egress-block, say why, and go on with other work while a person decides."

// ServeConn serves one client until it ends.
func (s *Server) ServeConn(conn net.Conn) {
	done := make(chan struct{})
	select {
	case s.conns <- &told{Conn: conn, closed: done}:
		<-done
	case <-s.ended:
	}
}

// Close ends all clients.
func (s *Server) Close() error { return s.http.Close() }

// errBroken is what an agent is told of bb's own mistakes.
var errBroken = errors.New("bb failed at this: tell the person who runs the bottle")

// caught turns a panic into an error: the SDK calls tools where nothing else
// would, and the sidecar serves more than them.
func caught(err *error) {
	if r := recover(); r != nil {
		*err = errBroken
	}
}

func (s *Server) egressBlock(ctx context.Context, _ *mcp.CallToolRequest, ask Ask) (_ *mcp.CallToolResult, _ any, err error) {
	defer caught(&err)
	why, err := reason(ask.Reason)
	if err != nil {
		return nil, nil, err
	}
	route, err := ask.Route()
	if err != nil {
		return nil, nil, err
	}
	return s.ask(ctx, egress.Proposal{Kind: egress.ProposeRoute, Reason: why, Route: &route})
}

type dockerfileAsk struct {
	Dockerfile string `json:"dockerfile" jsonschema:"the whole Dockerfile"`
	Reason     string `json:"reason" jsonschema:"why it is needed, for the person who decides"`
}

func (s *Server) capabilityBlock(ctx context.Context, _ *mcp.CallToolRequest, ask dockerfileAsk) (_ *mcp.CallToolResult, _ any, err error) {
	defer caught(&err)
	why, err := reason(ask.Reason)
	if err != nil {
		return nil, nil, err
	}
	switch n := len(ask.Dockerfile); {
	case strings.TrimSpace(ask.Dockerfile) == "":
		return nil, nil, errors.New("the Dockerfile is empty")
	case n > egress.MaxProposalText:
		return nil, nil, fmt.Errorf("the Dockerfile is %d bytes, at most %d", n, egress.MaxProposalText)
	}
	return s.ask(ctx, egress.Proposal{Kind: egress.ProposeCapability, Reason: why, Dockerfile: ask.Dockerfile})
}

// ask proposes, waits a while, and says what came of it.
func (s *Server) ask(ctx context.Context, p egress.Proposal) (*mcp.CallToolResult, any, error) {
	item, err := s.queue.Add(p)
	if err != nil {
		return nil, nil, err
	}
	a, ok, err := s.queue.Wait(ctx, item, s.wait)
	switch {
	case err != nil:
		return nil, nil, err
	case !ok:
		return text("pending: nobody has answered yet. Go on with other work, and call this tool again with the same arguments to wait on.")
	case a.Verdict == egress.Rejected:
		return text(strings.TrimSuffix("rejected: "+a.Reason, ": ") + noMore)
	}
	said := "approved"
	if a.Route != nil {
		b, err := json.Marshal(shown{Host: a.Route.Host, Port: a.Route.Port, Matches: a.Route.Matches, Expires: a.Route.Expires})
		if err != nil {
			return nil, nil, err
		}
		said += ", as " + string(b)
	}
	if p.Kind == egress.ProposeCapability {
		said += ": a person may build it; this bottle does not change"
	}
	if a.Reason != "" {
		said += ": " + a.Reason
	}
	return text(said)
}

// noMore keeps an agent from asking until a person is tired of it.
var noMore = fmt.Sprintf("\n(asked the same within %d minutes, this answer is repeated and nobody is asked: find another way)", int(answerTime.Minutes()))

// shown is what an agent may know of a route: see the proxy's own answer.
type shown struct {
	Host    string         `json:"host"`
	Port    int            `json:"port"`
	Matches []egress.Match `json:"matches,omitempty"`
	Auth    string         `json:"auth,omitempty"`
	Expires time.Time      `json:"expires,omitzero"`
}

func (s *Server) listRoutes(context.Context, *mcp.CallToolRequest, struct{}) (_ *mcp.CallToolResult, _ any, err error) {
	defer caught(&err)
	list := []shown{}
	for _, r := range s.routes() {
		if r.Expired(time.Now()) {
			continue
		}
		v := shown{Host: r.Host, Port: r.Port, Matches: r.Matches, Expires: r.Expires}
		if r.Auth != nil {
			v.Auth = "yes"
		}
		list = append(list, v)
	}
	b, err := json.MarshalIndent(map[string]any{"routes": list}, "", "  ")
	if err != nil {
		return nil, nil, err
	}
	return text(string(b))
}

func text(s string) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}, nil, nil
}

// listener hands the door's connections to the HTTP server.
type listener struct {
	s    *Server
	once sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.s.conns:
		return c, nil
	case <-l.s.ended:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.s.ended) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "door", Net: "unix"} }

// told says when the server is done with a connection.
type told struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *told) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// single refuses batches: one body of them starts hundreds of calls that wait.
func single(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the body is too large, or did not arrive whole", http.StatusRequestEntityTooLarge)
			return
		}
		if strings.HasPrefix(strings.TrimLeft(string(body), " \t\r\n"), "[") {
			http.Error(w, "one call at a time: batches are not taken", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		next.ServeHTTP(w, r)
	})
}
