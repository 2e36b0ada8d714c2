package sidecar

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/supervise"
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
		_, _ = toSidecar.Close(), fromSidecar.Close()
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

// What a sidecar's control socket takes, its door does not, also where somebody is
// asked: what follows such a word is read by nobody, and nothing is answered.
func TestDoorIsNoWayToAnswer(t *testing.T) {
	r := start(t, nil)
	if _, err := r.ctl(t, CommandApply, document(func(d *egress.Document) { d.Supervise = true })); err != nil {
		t.Fatal(err)
	}
	c, err := askThrough(t, r)
	if err != nil {
		t.Fatal(err)
	}
	hears, _ := watch(t, r)
	hears()
	go func() { _, _ = c.CallTool(t.Context(), ask("a.example.com")) }()
	p := hears().Proposal
	for _, word := range []string{CommandSupervise, CommandApply, CommandGet, CommandLog, CommandAgent, CommandCA} {
		conn := dialUnix(t, r.opts.DoorSocket)
		_, _ = io.WriteString(conn, "bb1 "+word+"\n"+`{"id":"`+p.ID+`","verdict":"approved"}`+"\n")
		if got, _ := io.ReadAll(conn); len(got) > 0 {
			t.Errorf("%s is answered: %s", word, got)
		}
	}
	hears2, _ := watch(t, r)
	if e := hears2(); e.Proposal == nil || e.Proposal.ID != p.ID {
		t.Errorf("it does not wait any more: %+v", e)
	}
}

func ask(host string) *mcp.CallToolParams {
	return &mcp.CallToolParams{Name: "egress-block", Arguments: map[string]any{"host": host, "reason": "r"}}
}

// Two bottles have nothing of each other: neither what waits, nor an answer.
func TestTwoBottlesAskApart(t *testing.T) {
	first, second := start(t, nil), start(t, nil)
	for _, r := range []*running{first, second} {
		if _, err := r.ctl(t, CommandApply, document(func(d *egress.Document) { d.Supervise = true })); err != nil {
			t.Fatal(err)
		}
	}
	one, err := askThrough(t, first)
	if err != nil {
		t.Fatal(err)
	}
	hearsFirst, saysFirst := watch(t, first)
	hearsFirst()
	answered := make(chan string, 1)
	go func() {
		got, err := one.CallTool(t.Context(), ask("a.example.com"))
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- got.Content[0].(*mcp.TextContent).Text
	}()
	p := hearsFirst().Proposal
	hearsSecond, saysSecond := watch(t, second)
	if e := hearsSecond(); !e.Listed {
		t.Errorf("the other bottle hears %+v", e)
	}
	saysSecond(egress.Answer{ID: p.ID, Verdict: egress.Approved})
	if e := hearsSecond(); !strings.HasPrefix(e.Refused, p.ID) {
		t.Errorf("the other bottle answers: %+v", e)
	}
	two, err := askThrough(t, second)
	if err != nil {
		t.Fatal(err)
	}
	got, err := two.CallTool(t.Context(), &mcp.CallToolParams{Name: "list-egress-routes"})
	if err != nil || strings.Contains(got.Content[0].(*mcp.TextContent).Text, "a.example.com") {
		t.Errorf("%+v, %v", got, err)
	}
	saysFirst(egress.Answer{ID: p.ID, Verdict: egress.Rejected, Reason: "no"})
	if got := <-answered; !strings.HasPrefix(got, "rejected: no") {
		t.Errorf("%s", got)
	}
}

// A held request waits for 300 seconds, and fails closed.
func TestHeldUntilTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newState(&fakeProxy{}, Options{})
		h := egress.HeldValue{Host: "a.example.com", Port: 443, Digests: []string{"d"}}
		if _, err := s.ask(t.Context(), h); !errors.Is(err, errNotSupervised) {
			t.Errorf("unconfigured: %v", err)
		}
		s.live.Store(&egress.Document{Supervise: true})
		began := time.Now()
		a, err := s.ask(t.Context(), h)
		if waited := time.Since(began); !errors.Is(err, supervise.ErrExpired) || a.Verdict != "" || waited != 300*time.Second {
			t.Errorf("%+v, %v after %s", a, err, waited)
		}
	})
}

// The real gate tells of a push that it refuses, once, and where nobody is asked
// of none.
func TestRefusedPushIsTold(t *testing.T) {
	r := start(t, func(o *Options) { o.newGate = nil })
	apply := func(on bool) {
		t.Helper()
		if _, err := r.ctl(t, CommandApply, document(func(d *egress.Document) { remotes(d); d.Supervise = on })); err != nil {
			t.Fatal(err)
		}
	}
	push := func() {
		t.Helper()
		resp, err := http.Post(r.door(t, egress.ServiceGit)+"/forge.git/git-receive-pack", "application/x-git-receive-pack-request", strings.NewReader("zzzz"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), "bb: push refused: ") {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	apply(false)
	push()
	apply(true)
	hears, _ := watch(t, r)
	if e := hears(); !e.Listed {
		t.Errorf("of before it was supervised: %+v", e)
	}
	push()
	p := hears().Proposal
	if p == nil || p.Kind != egress.ProposePush || p.Push.Remote != "forge" || !strings.Contains(p.Push.Reason, "git cannot have sent this") || p.Push.More != 0 {
		t.Fatalf("%+v", p)
	}
	if left := time.Until(p.Expires); left > pushTold || left < pushTold-time.Minute {
		t.Errorf("it is told for %s", left)
	}
	if err := p.Check(); err != nil {
		t.Errorf("the host would not believe it: %v", err)
	}
	push() // the same again
	second, _ := watch(t, r)
	if a, b := second(), second(); a.Proposal == nil || a.Proposal.ID != p.ID || !b.Listed {
		t.Errorf("%+v, %+v", a, b)
	}
}
