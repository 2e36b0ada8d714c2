package supervise

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bot-bottle/bb/egress"
)

// served is a server behind a socket, as the door has it.
type served struct {
	*Server
	q      *Queue
	client *http.Client
}

func newServed(t *testing.T) *served {
	t.Helper()
	q := New()
	s := NewServer(q, func() []egress.Route {
		return []egress.Route{
			{Host: "api.example.com", Port: 443, Auth: &egress.Auth{Scheme: "Bearer", TokenRef: "SECRET_NAME", Slot: "EGRESS_TOKEN_0"}, Source: "bottle dev.md:4"},
			{Host: "old.example.com", Port: 443, Expires: time.Now().Add(-time.Minute)},
		}
	}, "test")
	s.wait = 50 * time.Millisecond
	dir, err := os.MkdirTemp("", "sv") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.ServeConn(c) })
		}
	}()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", l.Addr().String())
	}}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = l.Close()
		_ = s.Close()
		all.Wait()
		_ = os.RemoveAll(dir)
	})
	return &served{s, q, client}
}

func (s *served) session(t *testing.T) *mcp.ClientSession {
	t.Helper()
	c, err := mcp.NewClient(&mcp.Implementation{Name: "agent"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: "http://supervise:9100/mcp", HTTPClient: s.client}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func call(t *testing.T, c *mcp.ClientSession, tool string, args map[string]any) (text string, failed bool) {
	t.Helper()
	r, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return err.Error(), true
	}
	for _, part := range r.Content {
		if x, ok := part.(*mcp.TextContent); ok {
			text += x.Text
		}
	}
	return text, r.IsError
}

func TestTools(t *testing.T) {
	s := newServed(t)
	c := s.session(t)
	list, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	if want := []string{"capability-block", "egress-block", "list-egress-routes"}; !slices.Equal(names, want) {
		t.Errorf("tools %v, want %v", names, want)
	}

	got, failed := call(t, c, "list-egress-routes", nil)
	if failed || !strings.Contains(got, "api.example.com") || !strings.Contains(got, `"auth": "yes"`) {
		t.Errorf("%s", got)
	}
	for _, secret := range []string{"SECRET_NAME", "EGRESS_TOKEN", "old.example.com"} {
		if strings.Contains(got, secret) {
			t.Errorf("it tells of %s: %s", secret, got)
		}
	}

	ask := map[string]any{"host": "PyPI.example.com", "methods": []string{"get"}, "paths": []string{"/simple"}, "reason": "a linter"}
	if got, failed := call(t, c, "egress-block", ask); failed || !strings.HasPrefix(got, "pending: ") {
		t.Fatalf("%s", got)
	}
	p := s.q.waiting[0].p
	if p.Kind != egress.ProposeRoute || p.Route.Host != "pypi.example.com" || p.Route.Port != 443 || p.Route.Auth != nil ||
		p.Route.Matches[0].Methods[0] != "GET" || p.Reason != "a linter" {
		t.Errorf("%+v", p)
	}
	if err := s.q.Answer(egress.Answer{ID: p.ID, Verdict: egress.Approved, Route: &egress.Route{Host: "pypi.example.com", Port: 443}}); err != nil {
		t.Fatal(err)
	}
	if got, failed := call(t, c, "egress-block", ask); failed || !strings.HasPrefix(got, "approved, as ") {
		t.Errorf("%s", got)
	}
	docker := map[string]any{"dockerfile": "FROM x\n", "reason": "a compiler"}
	if got, failed := call(t, c, "capability-block", docker); failed || !strings.HasPrefix(got, "pending") {
		t.Errorf("%s", got)
	}
	if err := s.q.Answer(egress.Answer{ID: s.q.waiting[0].p.ID, Verdict: egress.Rejected, Reason: "use the one there"}); err != nil {
		t.Fatal(err)
	}
	if got, failed := call(t, c, "capability-block", docker); failed || got != "rejected: use the one there"+noMore {
		t.Errorf("%s", got)
	}
}

// What a person could not approve is refused at once, and told so.
func TestBadQuestions(t *testing.T) {
	s := newServed(t)
	c := s.session(t)
	long := strings.Repeat("x", 70<<10)
	for _, tt := range []struct {
		tool, want string
		args       map[string]any
	}{
		{"egress-block", "say why", map[string]any{"host": "a.example.com", "reason": " "}},
		{"egress-block", "wildcard", map[string]any{"host": "*.example.com", "reason": "r"}},
		{"egress-block", "host", map[string]any{"host": "", "reason": "r"}},
		{"egress-block", "host", map[string]any{"host": "a b", "reason": "r"}},
		{"egress-block", "host", map[string]any{"host": "a.example.com\x00.evil", "reason": "r"}},
		{"egress-block", "port", map[string]any{"host": "a.example.com", "port": 70000, "reason": "r"}},
		{"egress-block", "path", map[string]any{"host": "a.example.com", "paths": []string{"no-slash"}, "reason": "r"}},
		{"egress-block", "at most", map[string]any{"host": "a.example.com", "reason": strings.Repeat("x", 3000)}},
		{"egress-block", "", map[string]any{"host": "a.example.com", "reason": "r", "auth": "x"}},
		{"egress-block", "method", map[string]any{"host": "a.example.com", "methods": []string{"GET\x1b[2J"}, "reason": "r"}},
		{"egress-block", "method", map[string]any{"host": "a.example.com", "methods": []string{""}, "reason": "r"}},
		{"egress-block", "method", map[string]any{"host": "a.example.com", "methods": []string{strings.Repeat("G", 99)}, "reason": "r"}},
		{"egress-block", "at most", map[string]any{"host": "a.example.com", "paths": []string{"/" + strings.Repeat("a", 2000)}, "reason": "r"}},
		{"egress-block", "write %20", map[string]any{"host": "a.example.com", "paths": []string{"/ [already allowed, GET only]: routine"}, "reason": "r"}},
		{"egress-block", "write a for %61", map[string]any{"host": "a.example.com", "paths": []string{"/%61dmin"}, "reason": "r"}},
		{"capability-block", "empty", map[string]any{"dockerfile": "", "reason": "r"}},
		{"capability-block", "at most", map[string]any{"dockerfile": long[:20<<10], "reason": "r"}},
		{"capability-block", "", map[string]any{"dockerfile": long, "reason": "r"}},
		{"answer", "", map[string]any{"id": "0", "verdict": "approved"}},
	} {
		got, failed := call(t, c, tt.tool, tt.args)
		if !failed || !strings.Contains(strings.ToLower(got), tt.want) {
			t.Errorf("%s %.80v: %s", tt.tool, tt.args, got)
		}
	}
	if len(s.q.waiting) > 0 {
		t.Errorf("%d wait", len(s.q.waiting))
	}
}

// Every way in that is not a tool, and floods.
func TestAttacks(t *testing.T) {
	s := newServed(t)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/", "", 404, ""},
		{"GET", "/mcp", "", 405, ""},
		{"DELETE", "/mcp", "", 405, ""},
		{"POST", "/supervise", "{}", 404, ""},
		{"POST", "/mcp/../control", "{}", 404, ""},
		{"POST", "/mcp", `[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]`, 400, "batches are not taken"},
		{"POST", "/mcp", " \r\n\t[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"tools/list"},`, 900), 400, "batches are not taken"},
		{"POST", "/mcp", "{", 400, ""},
		{"POST", "/mcp", strings.Repeat("[", 60<<10), 400, "batches are not taken"},
		{"POST", "/mcp", strings.Repeat(" ", 70<<10) + "{}", 413, "too large"},
		{"POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"supervise/answer","params":{"verdict":"approved"}}`, 400, "not handled"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://supervise:9100"+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		resp, err := s.client.Do(r)
		if err != nil {
			t.Errorf("%s %s: %v", tt.method, tt.path, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
			t.Errorf("%s %s %.60q: %d %q, want %d %q", tt.method, tt.path, tt.body, resp.StatusCode, body, tt.status, tt.want)
		}
	}
	c := s.session(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	full := 0
	for n := range 3 * egress.MaxProposals {
		all.Go(func() {
			got, failed := call(t, c, "egress-block", map[string]any{"host": "h" + string(rune('a'+n%26)) + strings.Repeat("x", 1+n/26) + ".example.com", "reason": "r"})
			mu.Lock()
			defer mu.Unlock()
			if failed && strings.Contains(got, "wait for a person already") {
				full++
			}
		})
	}
	all.Wait()
	if len(s.q.waiting) != egress.MaxProposals || full != 2*egress.MaxProposals {
		t.Errorf("%d wait, %d were told", len(s.q.waiting), full)
	}
}

// A call waits 30 seconds, no less and no more, and then says so.
func TestCallWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{queue: New(), wait: egress.ProposalWait}
		began := time.Now()
		got, _, err := s.ask(t.Context(), route("a.example.com"))
		if err != nil || !strings.HasPrefix(got.Content[0].(*mcp.TextContent).Text, "pending: ") {
			t.Errorf("%+v, %v", got, err)
		}
		if waited := time.Since(began); waited != 30*time.Second {
			t.Errorf("it waited %s", waited)
		}
	})
	s := NewServer(New(), nil, "test")
	defer s.Close()
	if s.wait != egress.ProposalWait || s.http.WriteTimeout < s.wait+10*time.Second {
		t.Errorf("a server waits %s, and has %s to answer", s.wait, s.http.WriteTimeout)
	}
}

// A reason is one line: no run of spaces has a screen wrap it into another.
func TestReasonIsOneLine(t *testing.T) {
	got, err := reason("  a linter" + strings.Repeat(" ", 300) + "\n\t\u0085\u00a0\u2003approved by the owner  ")
	if err != nil || got != "a linter approved by the owner" {
		t.Errorf("%q, %v", got, err)
	}
}

// A mistake of bb's in a tool ends no sidecar.
func TestPanicInATool(t *testing.T) {
	s := newServed(t)
	s.routes = func() []egress.Route { panic("a mistake") }
	got, failed := call(t, s.session(t), "list-egress-routes", nil)
	if !failed || !strings.Contains(got, "bb failed at this") || strings.Contains(got, "mistake") {
		t.Errorf("%s", got)
	}
}
