package dash

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// What a real terminal shows is what was drawn, at two sizes, with all that an
// agent could write: nothing wraps, and columns stand where they should.
func TestDriven(t *testing.T) {
	for _, size := range []struct {
		name          string
		width, height int
	}{{"80x24", 80, 24}, {"120x40", 120, 40}} {
		t.Run(size.name, func(t *testing.T) {
			tm := newTerminal(t, size.width, size.height, "DASH_TEST_HOME="+t.TempDir())
			tm.types(self(t), "Enter")
			same := func(name, shows string) {
				t.Helper()
				got := tm.shows(shows)
				want, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
				if err != nil {
					t.Fatal(err)
				}
				if got != trimmed(string(want)) {
					t.Errorf("in a terminal %s is\n%s\nnot\n%s", name, got, want)
				}
			}
			same(size.name, "coder_2")
			tm.types("p")
			tm.shows("1 to create")
			tm.types("Tab", "Tab", "j", "Enter")
			got := tm.shows("== p2 of coder_2")
			if n := strings.Count(got, "\n"); n >= size.height || strings.Contains(got, "over there") == strings.Contains(got, "\t") {
				t.Errorf("%d lines:\n%s", n, got)
			}
			if size.name == "80x24" {
				same("long_proposal", "lines")
			}
			tm.types("Escape")
			tm.shows("denied")
			tm.types("k", "Enter")
			tm.shows("y approve for 4h")
			tm.types("y")
			tm.shows("approve p1 of coder: supervise approve p1-whole --digest d1 --for 4h")
			tm.types("q")
			tm.shows("said\n")
			tm.usable()
		})
	}
}

// However the process of the screen breaks, the terminal is as it was, the reason
// is told, and the rest is in a file.
func TestCrashLeavesATerminal(t *testing.T) {
	for how, why := range map[string]string{
		"look": "a forced", "goroutine": "a forced panic of nobody's", "error": "a forced panic", "map": "concurrent map",
	} {
		t.Run(how, func(t *testing.T) {
			home := t.TempDir()
			tm := newTerminal(t, 80, 24, "DASH_TEST_HOME="+home, "DASH_TEST_PANIC="+how)
			tm.types(self(t), "Enter")
			tm.shows("coder_2")
			got := tm.shows("error: the dashboard crashed: " + why)
			if strings.Contains(got, "goroutine ") {
				t.Errorf("a stack trace:\n%s", got)
			}
			tm.usable()
			path := filepath.Join(home, "logs", "crash.log")
			b, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(b), why) || !strings.Contains(string(b), "goroutine ") {
				t.Errorf("%s, %v", b, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}

// A process of the screen that is killed leaves no crash, and a terminal.
func TestKilledLeavesATerminal(t *testing.T) {
	for _, signal := range []string{"KILL", "TERM"} {
		t.Run(signal, func(t *testing.T) {
			tm := newTerminal(t, 80, 24, "DASH_TEST_HOME="+t.TempDir())
			tm.types(self(t)+"; echo ended-$((1+1))", "Enter")
			tm.shows("coder_2")
			pid, err := exec.Command("pgrep", "-n", "-f", self(t)+" screen").Output()
			if err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("kill", "-"+signal, strings.TrimSpace(string(pid))).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := tm.shows("ended-2"); strings.Contains(got, "killed") != (signal == "KILL") {
				t.Errorf("it says\n%s", got)
			}
			tm.usable()
		})
	}
}

// What a key began ends as it would have, also when the screen closes meanwhile,
// or its terminal goes away.
func TestCommandOutlivesTheScreen(t *testing.T) {
	for _, how := range []string{"quit", "hangup"} {
		t.Run(how, func(t *testing.T) {
			home := t.TempDir()
			mark := filepath.Join(home, "done")
			tm := newTerminal(t, 80, 24, "DASH_TEST_HOME="+home,
				"DASH_TEST_DOES=for i in 1 2 3 4 5 6 7 8; do echo line $i; echo line $i >&2; sleep 0.25; done; echo whole > "+mark)
			tm.types(self(t), "Enter")
			tm.shows("coder_2")
			tm.types("j", "x")
			tm.shows("stop coder?")
			tm.types("y")
			tm.shows("stop coder ...")
			if how == "quit" {
				tm.types("q")
				tm.shows("the screen closes at its end")
				tm.types("q")
				tm.shows("stop coder goes on by itself")
				tm.usable()
			} else {
				tm.tmux("kill-session")
			}
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				if b, err := os.ReadFile(mark); err == nil && string(b) == "whole\n" {
					break
				}
				if time.Now().After(end) {
					t.Fatal("it ended half-way")
				}
			}
		})
	}
}
