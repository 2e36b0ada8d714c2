package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCodexGoesOn stops a bottle with the real Codex in it, brings it up with an
// apply, and attaches: with the next question its backend gets the earlier ones.
func TestCodexGoesOn(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, codexHosts...)
	h := newHome(t)
	newHostLogin(t, h).write(time.Now().Add(240*time.Hour), time.Now().Add(time.Hour))
	h.bottle("codex", "agent_provider: {template: codex, forward_host_credentials: true}\n"+u.codexEgress())
	agent := h.agent("codex", "codex", "")
	told := func(now func() []seen, marks ...string) bool {
		return slices.ContainsFunc(now(), func(s seen) bool {
			has := s.Method == "WEBSOCKET" && strings.HasSuffix(s.Path, "/responses")
			for _, m := range marks {
				has = has && slices.Contains(s.Marks, m)
			}
			return has
		})
	}

	// Without a terminal: nothing to go on with yet, then that.
	h.must("run", agent, "--resume", "-p", "ping mark-first").says(t, "pong: ping mark-first", "there is no conversation to go on with")
	now := u.since()
	h.must("run", agent, "--resume", "-p", "ping mark-second").says(t, "pong: ping mark-second")
	if !told(now, "mark-first", "mark-second") {
		t.Errorf("a run that shall go on does not:\n%s", brief(now()))
	}
	now = u.since()
	h.must("run", agent, "-p", "ping mark-third")
	if told(now, "mark-first", "mark-third") {
		t.Error("a run goes on unasked")
	}

	// On a terminal, after a stop, with what was said last: without a word of bb's.
	h.must("stop", agent).says(t, "its conversations are kept in")
	h.must("apply", "-y")
	now = u.since()
	s := h.onTerminal("attach", agent)
	s.says("its program goes on with the last conversation (bb attach --new " + agent)
	s.asksCodex("mark-fourth", func() bool { return told(now, "mark-third", "mark-fourth") })
	s.leavesCodex()

	// In the same life of the bottle the next one is new, unless it is asked for.
	now = u.since()
	s = h.onTerminal("attach", agent)
	s.asksCodex("mark-fifth", func() bool { return told(now, "mark-fifth") })
	if told(now, "mark-fourth", "mark-fifth") {
		t.Error("an attach goes on unasked")
	}
	s.leavesCodex()
	now = u.since()
	s = h.onTerminal("attach", "--resume", agent)
	s.asksCodex("mark-sixth", func() bool { return told(now, "mark-fifth", "mark-sixth") })
	s.leavesCodex()
	h.settled()
}

// asksCodex types a question, again where the program was not ready for it.
func (s *screen) asksCodex(text string, arrived func() bool) {
	s.t.Helper()
	s.says("\x1b[?1049h")
	typed := time.Time{}
	eventually(s.t, text+" arrives", func() bool {
		if time.Since(typed) > 8*time.Second {
			typed = time.Now()
			time.Sleep(2 * time.Second)
			_, _ = s.master.WriteString(text)
		}
		time.Sleep(time.Second)
		_, _ = s.master.WriteString("\r")
		return arrived()
	})
}

// leavesCodex ends the program when it has answered.
func (s *screen) leavesCodex() {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		_, _ = s.master.WriteString("\x03")
		select {
		case <-s.done:
			return
		case <-time.After(time.Second):
		}
	}
	s.t.Fatalf("it does not end; the terminal shows %q", s.text())
}
