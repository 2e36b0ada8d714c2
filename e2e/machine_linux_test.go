package e2e_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
	h, fake := machineHome(t, nil)
	value, word, literal := "oauth-"+random(20), "ping-"+random(8), "literal-"+random(12)
	h.env = append(h.env, "E2E_CLAUDE_TOKEN="+value)
	h.bottle("claude", "backend: smolvm\nagent_provider: {template: claude, auth_token: E2E_CLAUDE_TOKEN}\nenv: {E2E_LITERAL: "+literal+"}\negress:\n"+
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
	m := &machines{t: t, h: h, fake: fake}
	found, processes := m.search(agent, value, literal)
	foundOnly(t, found, processes)
	nowhere(t, h, value)
	if r := <-turn; r.code != 0 {
		t.Errorf("the slow turn: %s", r)
	}
	for _, args := range [][]string{{"plan", "--json"}, {"ps", "--json"}, {"logs", agent}, {"logs", "--sidecar", agent}} {
		absent(t, "bb "+args[0], strings.NewReader(h.must(args...).all()), value)
	}
}

// TestCodexInAMachine runs the real Codex in a machine, with the login of this
// machine lent to it: the token reaches the backend and is nowhere else.
func TestCodexInAMachine(t *testing.T) {
	u := newUpstream(t, codexHosts...)
	u.machines = true
	p := newPlace(t, u.network)
	h, fake := machineHome(t, p)
	h.env = append(h.env, "BB_BACKEND=smolvm")
	literal := "literal-" + random(12)
	agent, token := lendsTheLogin(t, h, u, newHostLogin(t, h), literal)
	value, now := token[len(token)-40:], u.since()
	turn := make(chan result)
	go func() { turn <- h.run("run", agent, "-p", "think-10s mark-slow") }()
	eventually(t, "the backend thinks", func() bool {
		return slices.ContainsFunc(now(), func(s seen) bool { return slices.Contains(s.Marks, "mark-slow") })
	})
	m := &machines{t: t, h: h, p: p, fake: fake}
	found, processes := m.search(agent, value, literal)
	foundOnly(t, found, processes)
	nowhere(t, h, value)
	if r := <-turn; r.code != 0 {
		t.Errorf("the slow turn: %s", r)
	}
	if holds(m.records(agent), value) {
		t.Error("what is kept and shown of the machine holds the value")
	}
	resumes(t, h, u, agent)
}

// TestAttachInAMachine: smolvm's own terminal follows no change of its size, and
// dies with nobody: what comes by bb's own way does both.
func TestAttachInAMachine(t *testing.T) {
	h, fake := machineHome(t, nil)
	h.bottle("closed", "agent_provider: {template: shell}\nbackend: smolvm")
	one := h.agent("one", "closed", "")
	h.must("apply", "-y")
	name := containerName(t, h, one)
	machine := fake.Process(name)
	attaches(t, h, one, inside{
		runs: func(text string) bool {
			return slices.ContainsFunc(processesOf(t, machine), func(line string) bool { return strings.Contains(line, text) })
		},
		idle: func() {
			var left []string
			for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				if left = append(processesOf(t, machine), commandsWith("exec\x00--name="+name+"\x00")...); len(left) == 0 {
					return
				}
			}
			t.Errorf("goes on: %q", left)
		},
	})
	if now := fake.Process(name); now != machine {
		t.Errorf("the machine is another: process %d, then %d", machine, now)
	}
}

// commandsWith lists the processes of this machine with text in their arguments.
func commandsWith(text string) (lines []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
	for _, file := range all {
		if args, _ := os.ReadFile(file); strings.Contains(string(args), text) {
			lines = append(lines, string(args))
		}
	}
	return lines
}

// TestFilesOutOfAMachine: no image is made of a machine, and what bb says to do
// instead works; of one that is off nothing is read, and bb says so.
func TestFilesOutOfAMachine(t *testing.T) {
	h, _ := machineHome(t, nil)
	h.bottle("machine", "backend: smolvm\nagent_provider: {template: shell}\n")
	agent := h.agent("made", "machine", "")
	h.must("apply", "-y")
	h.must("exec", agent, "--", "sh", "-c", "mkdir -p ~/deep && echo work > ~/deep/er && echo more > ~/workspace/notes")
	h.fails("commit", agent).says(t, "smolvm cannot make an image of a bottle (bb cp "+agent+":~/. DIR carries its files out into a directory that exists)")
	out := t.TempDir()
	h.must("cp", agent+":~/.", out)
	for name, want := range map[string]string{"deep/er": "work\n", "workspace/notes": "more\n"} {
		if b, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	h.must("stop", agent)
	h.fails("cp", agent+":~/.", out).says(t, agent+" does not run, and smolvm reads no bottle that does not (bb start --resume "+agent+" brings it back, and bb apply "+agent+")")
	h.must("apply", "-y")
	h.must("cp", agent+":notes", out)
}
