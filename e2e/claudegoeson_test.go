package e2e_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestClaudeGoesOn stops a bottle with the real Claude Code in it, restarts the
// engine, and lets it go on: its files and its conversation are there. The same
// bottle, frozen, is another one's image.
func TestClaudeGoesOn(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.bottle("claude", "agent_provider: {template: claude}\nenv: {E2E_LITERAL: of-the-bottle}\n")
	agent := h.agent("claude", "claude", "")
	word := "remember-" + random(8)
	e := moveToOwnEngine(t, h, agent)
	h.must("apply", "-y")
	// Its API is not reachable from here, and nobody is logged in: what was said is
	// kept all the same.
	h.must("exec", agent, "--", "sh", "-c", "echo "+word+" > ~/workspace/kept")
	before := h.onTerminal("attach", agent)
	before.says("/effort")
	before.types(word, word)
	eventually(t, "claude keeps what was said", func() bool {
		_, _ = before.master.WriteString("\r") // a key that comes at once with others is pasted text
		time.Sleep(time.Second)
		return h.run("exec", agent, "--", "sh", "-c", "grep -rq "+word+" ~/.claude/projects").code == 0
	})
	h.fails("stop", "-y", agent).says(t, "in use")
	h.must("stop", "--force", agent).says(t, "1 stopped")
	<-before.done
	h.settledStopped(agent)
	e.restart()
	h.must("ps", "-a").says(t, "stopped")
	h.settledStopped(agent) // a restart of the engine starts nothing of it

	s := h.onTerminal("start", "--resume", agent, "-y")
	s.says(word) // the conversation that it shows again
	s.types("\x03\x03", "is kept")
	if out := h.must("exec", agent, "--", "cat", "/home/node/workspace/kept").stdout; strings.TrimSpace(out) != word {
		t.Errorf("its file says %q", out)
	}
	if !h.transcriptHolds(word) {
		t.Error("the snapshot of its conversations does not hold what was said")
	}

	h.must("commit", agent, "localhost/frozen:one").says(t, "localhost/frozen:one")
	h.fails("commit", agent, "localhost/frozen:one").says(t, "exists already")
	h.bottle("again", "agent_provider: {template: claude, image: 'localhost/frozen:one'}\n")
	other := h.agent("again", "again", "")
	h.must("apply", "-y", other)
	said := h.must("exec", other, "--", "sh", "-c", "cat ~/workspace/kept; echo [$E2E_LITERAL]").stdout
	if said != word+"\n[]\n" {
		t.Errorf("what was frozen says %q", said)
	}
	h.settled()
	h.must("destroy", "-y", "--force", agent).says(t, "its conversations are kept in")
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
