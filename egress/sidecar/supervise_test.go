package sidecar

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bot-bottle/bb/egress"
)

// askThrough connects an agent's client through the door.
func askThrough(t *testing.T, r *running) (*mcp.ClientSession, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		conn, err := net.Dial("unix", r.opts.DoorSocket)
		if err == nil {
			_, err = io.WriteString(conn, egress.Preface(egress.ServiceMCP))
		}
		return conn, err
	}}}
	t.Cleanup(client.CloseIdleConnections)
	return mcp.NewClient(&mcp.Implementation{Name: "agent"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: "http://supervise:9100/mcp", HTTPClient: client}, nil)
}

// watch is bb on the host that listens.
func watch(t *testing.T, r *running) (hears func() egress.SuperviseEvent, says func(egress.Answer)) {
	t.Helper()
	in, toSidecar := io.Pipe()
	fromSidecar, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- CtlTalk(t.Context(), Control{Socket: r.opts.ControlSocket}, CommandSupervise, in, out)
		_ = out.Close()
	}()
	t.Cleanup(func() {
		_ = toSidecar.Close()
		select {
		case <-done: //nolint:errcheck // the socket closes under it
		case <-time.After(deadline):
			t.Error("the conversation does not end")
		}
	})
	lines := bufio.NewScanner(fromSidecar)
	next := func(v any) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("it ended: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), v); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
	}
	var reply egress.Reply
	if next(&reply); !reply.OK {
		t.Fatalf("%+v", reply)
	}
	return func() (e egress.SuperviseEvent) { next(&e); return e },
		func(a egress.Answer) {
			if err := json.NewEncoder(toSidecar).Encode(a); err != nil {
				t.Fatal(err)
			}
		}
}

func TestAgentAsksAndAPersonAnswers(t *testing.T) {
	r := start(t, nil)
	apply := func(on bool) {
		t.Helper()
		if _, err := r.ctl(t, CommandApply, document(func(d *egress.Document) { d.Supervise = on })); err != nil {
			t.Fatal(err)
		}
	}
	apply(false)
	if _, err := askThrough(t, r); err == nil {
		t.Error("it is asked where nobody is")
	}
	conn := dialUnix(t, r.opts.ControlSocket)
	if _, err := io.WriteString(conn, "bb1 supervise\n"); err != nil {
		t.Fatal(err)
	}
	if line, _ := io.ReadAll(conn); !strings.Contains(string(line), "supervise: true") {
		t.Errorf("%s", line)
	}

	apply(true)
	c, err := askThrough(t, r)
	if err != nil {
		t.Fatal(err)
	}
	hears, says := watch(t, r)
	if e := hears(); !e.Listed {
		t.Fatalf("%+v", e)
	}
	answered := make(chan string, 1)
	ask := &mcp.CallToolParams{Name: "egress-block", Arguments: map[string]any{"host": "pypi.example.com", "reason": "a linter"}}
	go func() {
		got, err := c.CallTool(t.Context(), ask)
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- got.Content[0].(*mcp.TextContent).Text
	}()
	p := hears().Proposal
	if p == nil || p.Route.Host != "pypi.example.com" || p.Reason != "a linter" {
		t.Fatalf("%+v", p)
	}
	says(egress.Answer{ID: p.ID, Verdict: egress.Approved})
	if e := hears(); e.Gone != p.ID {
		t.Errorf("%+v", e)
	}
	if got := <-answered; got != "approved" {
		t.Errorf("%s", got)
	}

	// What waits when nobody is asked any more is told so.
	go func() {
		got, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "egress-block", Arguments: map[string]any{"host": "b.example.com", "reason": "r"}})
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- got.Content[0].(*mcp.TextContent).Text
	}()
	second := hears().Proposal
	apply(false)
	if e := hears(); second == nil || e.Gone != second.ID {
		t.Errorf("%+v", e)
	}
	if got := <-answered; !strings.Contains(got, "supervise: true") {
		t.Errorf("%s", got)
	}
}
