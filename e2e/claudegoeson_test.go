package e2e_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestClaudeGoesOn stops a bottle with the real Claude Code in it, restarts the
// engine, and lets it go on: its files are there, and with the next question its
// API gets the earlier ones. The same bottle, frozen, is another one's image.
func TestClaudeGoesOn(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.bottle("claude", "agent_provider: {template: claude}\n")
	agent := h.agent("claude", "claude", "")
	e := moveToOwnEngine(t, h, agent)
	u := e.upstream("api.anthropic.com")
	h.env = append(h.env, "E2E_CLAUDE_TOKEN=oauth-"+random(20))
	egress := "egress:\n" + u.egress() + "  routes:\n" + u.route("api.anthropic.com", "")
	h.bottle("claude", "agent_provider: {template: claude, auth_token: E2E_CLAUDE_TOKEN}\nenv: {E2E_LITERAL: of-the-bottle}\n"+egress)
	h.write("agents/"+agent+".md", "---\nbottle: claude\ngit_user: {name: Old Agent, email: old@example.com}\n---\nNever forget mark-oldprompt.\n")
	h.must("apply", "-y")
	first, second, third := "mark-"+random(8), "mark-"+random(8), "mark-"+random(8)

	// Nothing was said yet, and it says so.
	s := h.onTerminal("attach", "--resume", agent)
	s.says("there is no conversation to go on with")
	s.asks(first, func() bool { _, ok := u.turn(first, "mark-oldprompt"); return ok })
	h.must("exec", agent, "--", "sh", "-c", "echo "+first+" > ~/workspace/kept")
	eventually(t, "claude keeps what was said", func() bool {
		return h.run("exec", agent, "--", "sh", "-c", "grep -rq 'pong: "+first+"' ~/.claude/projects").code == 0
	})
	h.fails("stop", "-y", agent).says(t, "in use")
	h.must("stop", "--force", agent).says(t, "1 stopped", "its conversations are kept in")
	<-s.done
	h.settledStopped(agent)
	e.restart()
	u.again()
	h.must("ps", "-a").says(t, "stopped")
	h.settledStopped(agent) // a restart of the engine starts nothing of it

	s = h.onTerminal("start", "--resume", agent, "-y")
	s.says(first) // the conversation that it shows again
	s.asks(second, func() bool { _, ok := u.turn(first, second); return ok })
	s.types("\x03\x03", "is kept")
	if out := h.must("exec", agent, "--", "cat", "/home/node/workspace/kept").stdout; strings.TrimSpace(out) != first {
		t.Errorf("its file says %q", out)
	}
	if !h.transcriptHolds(first) {
		t.Error("the snapshot of its conversations does not hold what was said")
	}

	// Without a terminal: another one, and the same.
	h.must("run", agent, "-p", "alone "+third).says(t, "pong: alone "+third)
	if _, ok := u.turn(first, third); ok {
		t.Error("a run goes on unasked")
	}
	fourth := "mark-" + random(8)
	h.must("run", agent, "--resume", "-p", "on "+fourth).says(t, "pong: on "+fourth)
	if _, ok := u.turn(third, fourth); !ok {
		t.Errorf("a run that shall go on does not: %s", brief(u.seen()))
	}

	h.must("commit", agent, "localhost/frozen:one").says(t, "localhost/frozen:one", "logins that somebody made inside")
	h.fails("commit", agent, "localhost/frozen:one").says(t, "exists already")
	h.bottle("again", "agent_provider: {template: claude, auth_token: E2E_CLAUDE_TOKEN, image: 'localhost/frozen:one'}\n"+egress)
	other := h.agent("again", "again", "")
	h.must("apply", "-y", other)
	said := h.must("exec", other, "--", "sh", "-c", "cat ~/workspace/kept; echo [$E2E_LITERAL]; git config --global --list; ls ~/.bb 2>/dev/null").stdout
	if said != first+"\n[]\n" {
		t.Errorf("what was frozen says %q", said)
	}
	// What was said in the bottle that it is of was not said in it.
	fifth := "mark-" + random(8)
	s = h.onTerminal("attach", other)
	s.asks(fifth, func() bool { _, ok := u.turn(fifth); return ok })
	if turn, _ := u.turn(fifth); !slices.Equal(turn.Marks, []string{fifth}) {
		t.Errorf("the new agent's model is told %v", turn.Marks)
	}
	s.types("\x03\x03", "")
	<-s.done
	h.settled()
	h.must("destroy", "-y", "--force", agent).says(t, "its conversations are kept in")
}

// asks types a question into a program that is ready for one, and sends it until
// it has arrived: a key that comes at once with others is pasted text.
func (s *screen) asks(text string, arrived func() bool) {
	s.t.Helper()
	s.says("/effort")
	s.types(text, text)
	eventually(s.t, text+" arrives", func() bool {
		_, _ = s.master.WriteString("\r")
		time.Sleep(time.Second)
		return arrived()
	})
}

// settledStopped holds that the plan has to start it, and sees nothing else.
func (h *home) settledStopped(agent string) {
	h.t.Helper()
	r := h.must("plan", agent)
	if !strings.Contains(r.stdout, "  ^ "+agent) || strings.Contains(r.stdout, "not as bb made it") {
		h.t.Errorf("of a stopped bottle: %s", r)
	}
}

// transcriptHolds looks for a word in the transcripts that are kept.
func (h *home) transcriptHolds(word string) bool {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, "state", "transcripts", "*.tar.gz"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			h.t.Fatal(err)
		}
		defer f.Close()
		plain, err := gzip.NewReader(f)
		if err != nil {
			h.t.Fatal(err)
		}
		for r := tar.NewReader(plain); ; {
			if _, err := r.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				h.t.Fatal(err)
			}
			if text, err := io.ReadAll(r); err == nil && strings.Contains(string(text), word) {
				return true
			}
		}
	}
	return false
}
