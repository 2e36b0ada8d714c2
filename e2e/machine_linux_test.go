package e2e_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// parentProxy is a proxy of this machine that leads to one place by any name:
// the sidecars of machines do not see the names of an engine's network.
func parentProxy(t *testing.T, listen, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(listen, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // of this test
		_, port, err := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || err != nil {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		far, err := net.Dial("tcp", net.JoinHostPort(to, port))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer far.Close()
		near, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(far, near) }()
		_, _ = io.Copy(near, far)
	})}
	go s.Serve(l) //nolint:errcheck // ends with the test
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

// TestClaudeInAMachine runs the real Claude Code in a machine without network,
// against a fake of its API: the credential reaches the API and is nowhere else.
func TestClaudeInAMachine(t *testing.T) {
	u := newUpstream(t, "api.anthropic.com")
	h, _ := machineHome(t, nil)
	value, word := "oauth-"+random(20), "ping-"+random(8)
	h.env = append(h.env, "E2E_CLAUDE_TOKEN="+value)
	h.bottle("claude", "backend: smolvm\nagent_provider: {template: claude, auth_token: E2E_CLAUDE_TOKEN}\negress:\n"+
		"  upstream_ca: "+u.ca+"\n  parent: {url: "+parentProxy(t, u.gateway, address(t, u.name))+"}\n  routes:\n    - host: api.anthropic.com\n")
	agent := h.agent("claude", "claude", "Answer in one word.")
	r := h.must("run", agent, "-p", word)
	if !strings.Contains(r.stdout, "pong: ") || !strings.Contains(r.stdout, word) {
		t.Fatalf("want the fake's text on standard output: %s", r)
	}
	for _, s := range u.seen() {
		if s.Authorization != "Bearer "+value {
			t.Errorf("the API saw the authorization %q on %s %s", s.Authorization, s.Method, s.Path)
		}
	}
	if u.turns() == 0 {
		t.Errorf("the API saw no turn: %+v", u.seen())
	}
	// While a turn is under way.
	turn, before := make(chan result), u.turns()
	go func() { turn <- h.run("run", agent, "-p", "think-10s") }()
	eventually(t, "the API thinks", func() bool { return u.turns() > before })
	nowhere(t, h, value)
	if r := <-turn; r.code != 0 {
		t.Errorf("the slow turn: %s", r)
	}
	for _, args := range [][]string{{"plan", "--json"}, {"ps", "--json"}, {"logs", agent}, {"logs", "--sidecar", agent}} {
		absent(t, "bb "+args[0], strings.NewReader(h.must(args...).all()), value)
	}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
