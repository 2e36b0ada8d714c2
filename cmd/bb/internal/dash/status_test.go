package dash

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func sh(script string) func(Call) *exec.Cmd {
	return func(c Call) *exec.Cmd {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Env = append(os.Environ(), "ENDED="+c.Ended)
		return cmd
	}
}

// What a command said stays until the next key, also when a look fails and works
// again meanwhile; both are told again at the end.
func TestFailureStaysUntilTheNextKey(t *testing.T) {
	w := fleet()
	w.does = sh("echo working; echo 'bb: coder is in use (wait)' >&2; exit 1")
	m := screen(t, w, 80, 24, "down", "x", "y")
	const failure = "! stop coder: working; coder is in use (wait)"
	shows := func(want ...string) {
		t.Helper()
		got := fits(t, m)
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("no %q in\n%s", text, got)
			}
		}
	}
	shows(failure)
	w.err = errors.New("no engine answers\nat all")
	lookAgain(m)
	shows(failure, `! no engine answers\u000aat all`, "coder_2")
	w.err = nil
	lookAgain(m)
	shows(failure)
	if got := fits(t, m); strings.Contains(got, "no engine") {
		t.Errorf("%s", got)
	}
	press(m, "up")
	if got := fits(t, m); strings.Contains(got, "in use") {
		t.Errorf("%s", got)
	}
	if said := strings.Join(m.said, "|"); !strings.Contains(said, "no engine") || !strings.Contains(said, "in use") || len(m.said) != 2 {
		t.Errorf("%q", m.said)
	}
	press(m, "!")
	shows("said stop coder: working; coder is in use (wait)", "said no engine")
}

// Everything that is wrong can be read, and is told again.
func TestProblems(t *testing.T) {
	w := fleet()
	w.snap.Problems = []string{"one " + strange, "two"}
	m := screen(t, w, 80, 24)
	if got := fits(t, m); !strings.Contains(got, "(1 more: !)") {
		t.Errorf("%s", got)
	}
	lookAgain(m)
	if len(m.said) != 2 {
		t.Errorf("%q", m.said)
	}
	press(m, "!")
	if got := fits(t, m); !strings.Contains(got, "now  two") {
		t.Errorf("%s", got)
	}
}

// An answer that is a whole text is shown whole, also where it exits with 1; what
// cannot answer is a failure.
func TestExplainIsShownWhole(t *testing.T) {
	w := fleet()
	w.does = sh("echo 'warning: old' >&2; echo blocked; echo '  add this'; exit 1")
	m := screen(t, w, 80, 24, "tab", "tab", "e")
	if got := fits(t, m); !strings.Contains(got, "blocked") || !strings.Contains(got, "add this") || m.failed || len(m.said) > 0 {
		t.Errorf("%q\n%s", m.said, got)
	}
	w.does = sh("echo 'bb: there is no agent' >&2; exit 1")
	m = screen(t, w, 80, 24, "tab", "tab", "e")
	if m.sheet != nil || m.note != "explain coder: there is no agent" || !m.failed {
		t.Errorf("%q", m.note)
	}
	m = screen(t, w, 80, 24, "tab", "tab", "up", "e") // a push has its reason with it
	if got := fits(t, m); !strings.Contains(got, "the push has a secret\n") || len(w.ran) != 2 {
		t.Errorf("%v\n%s", w.ran, got)
	}
}

// While a command is under way the screen closes only at its end, or when it is
// asked twice; one command at a time.
func TestQuitWhileBusy(t *testing.T) {
	w := fleet()
	m := screen(t, w, 80, 24, "down", "x")
	stop := pressed(m, "y")
	if got := fits(t, m); !strings.Contains(got, "stop coder ...") {
		t.Errorf("%s", got)
	}
	press(m, "a")
	if len(w.ran) != 1 || !strings.Contains(m.note, "stop coder is under way: one at a time") {
		t.Errorf("it ran %v and says %q", w.ran, m.note)
	}
	if press(m, "q") {
		t.Error("it closed at once")
	}
	if got := fits(t, m); !strings.Contains(got, "stop coder is under way: the screen closes at its end") {
		t.Errorf("%s", got)
	}
	if !settle(m, stop) {
		t.Error("it stays open at the end of the command")
	}
	m = screen(t, w, 80, 24, "down", "x")
	pressed(m, "y")
	if !press(m, "q", "q") || len(m.said) != 1 || !strings.Contains(m.said[0], "stop coder goes on by itself") {
		t.Errorf("twice: %q", m.said)
	}
}

// An older look brings nothing, and a look that was asked for brings no second
// clock.
func TestLooksDoNotMultiply(t *testing.T) {
	m := screen(t, fleet(), 80, 24)
	before := m.look
	older := m.lookNow()
	newer := pressed(m, "r")
	if _, next := m.Update(older()); next != nil {
		t.Error("an older look goes on")
	}
	if _, next := m.Update(newer()); next == nil {
		t.Error("the newer does not")
	}
	if _, next := m.Update(tickMsg{before}); next != nil {
		t.Error("an older clock ticks on")
	}
	if _, next := m.Update(tickMsg{m.look}); next == nil {
		t.Error("the newer clock stands still")
	}
}

// A program on the terminal: what it says of errors is kept, its own exit code is
// no failure.
func TestForeground(t *testing.T) {
	for _, tt := range []struct {
		name, script, want string
		failed             bool
	}{
		{"well", "exit 0", "attach coder: done", false},
		{"its own code", `echo "bb: warning: old" >&2; echo 130 > "$ENDED"; exit 130`, "attach coder: its program ended with 130", false},
		{"bb's", "echo one >&2; echo 'bb: coder is attached already (bb attach --new)' >&2; exit 1", "attach coder: one; coder is attached already (bb attach --new)", true},
		{"silent", "exit 3", "attach coder: it ended with 3 and said nothing", true},
		{"interrupted", "echo 'Go on? [y/N] ' >&2; kill -INT $$", "attach coder: signal: interrupt", true},
		{"output held open", "sleep 60 >&2 & exit 0", "attach coder: done", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ended := t.TempDir() + "/ended"
			f := &foreground{Cmd: sh(tt.script)(Call{Ended: ended}), pauses: tt.failed}
			f.SetStdin(strings.NewReader("\n"))
			f.SetStdout(&out)
			f.SetStderr(nil)
			began := time.Now()
			m := screen(t, fleet(), 80, 24)
			err := f.Run()
			m.told(doneMsg{job{what: "attach coder"}, result{err: f.said.String(), failed: err, code: codeOf(ended)}})
			if m.note != tt.want || m.failed != tt.failed {
				t.Errorf("it says %q, failed %v", m.note, m.failed)
			}
			if f.said.String() != "" && !strings.Contains(out.String(), f.said.String()) {
				t.Errorf("the terminal had %q", out.String())
			}
			if time.Since(began) > 30*time.Second {
				t.Error("it waited for what was left running")
			}
		})
	}
}
