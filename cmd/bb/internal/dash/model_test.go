package dash

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// world is a source that never changes.
type world struct {
	snap Snapshot
	err  error
	ran  [][]string
}

func (w *world) Look(context.Context) (Snapshot, error) { return w.snap, w.err }

func (w *world) Command(args ...string) *exec.Cmd {
	w.ran = append(w.ran, args)
	return exec.Command("/bin/echo", args...)
}

func fleet() *world {
	return &world{snap: Snapshot{
		At: noon,
		Bottles: []Bottle{
			{ID: "coder", Agent: "coder", Backend: "docker", State: "running", Sidecar: "configured", Created: noon.Add(-3 * time.Hour), Requests: 1234, Denials: 7, Bytes: 5 << 20, Memory: 300 << 20},
			{ID: "coder_2", Agent: "coder", Backend: "smolvm", State: "running", Sidecar: "stopped", Created: noon.Add(-90 * time.Second)},
			{ID: "reviewer", Agent: "reviewer", Backend: "docker", State: "not there"},
			{ID: "an-agent-with-a-very-long-name", Agent: "an-agent-with-a-very-long-name", Backend: "docker", State: "stopped", Sidecar: "configured", Created: noon.Add(-72 * time.Hour)},
		},
		Proposals: []Proposal{
			{ID: "p1", Bottle: "coder", Kind: "route", What: "GET https://pypi.example.com/simple/", Why: "install the linter", Labels: []string{"new host"}, Since: noon, Digest: "d1"},
			{ID: "p2", Bottle: "coder_2", Kind: "route", What: "https://x.example.com", Why: "\x1b[2J\x1b[Happroved\r\nby \u202eyou", Since: noon, Digest: "d2"},
		},
		Denials: []Denial{
			{At: noon.Add(-time.Minute), Bottle: "coder", URL: "https://tracker.example.org/a", Text: "no route for tracker.example.org"},
			{At: noon, Bottle: "coder", URL: "https://x.example.org/\x1b]0;owned\x07", Text: "no route"},
		},
		Plan: "bb will\n\n  + reviewer docker    create\n\nPlan: 1 to create, 0 to update, 0 to replace, 0 to remove.\n", Changes: 1,
	}}
}

func screen(t *testing.T, w *world, width, height int, keys ...string) *model {
	t.Helper()
	m := &model{src: w, now: func() time.Time { return noon }}
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	snap, err := w.Look(t.Context())
	m.Update(lookedMsg{snap, err})
	press(m, keys...)
	return m
}

// press types, and lets commands that were begun end.
func press(m *model, keys ...string) {
	for _, k := range keys {
		msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
		switch k {
		case "tab":
			msg = tea.KeyMsg{Type: tea.KeyTab}
		case "down":
			msg = tea.KeyMsg{Type: tea.KeyDown}
		}
		if _, cmd := m.Update(msg); cmd != nil && k != "a" && k != "m" && k != "q" {
			m.Update(cmd())
		}
	}
}

// fits asserts that a frame is exactly as large as its terminal, and that
// nothing in it moves the cursor.
func fits(t *testing.T, m *model) string {
	t.Helper()
	frame := m.View()
	lines := strings.Split(frame, "\n")
	if len(lines) != m.height {
		t.Errorf("%d lines in a terminal of %d", len(lines), m.height)
	}
	for _, l := range lines {
		if n := ansi.StringWidth(l); n > m.width {
			t.Errorf("a line of %d in a terminal of %d: %q", n, m.width, l)
		}
		if strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e }) {
			t.Errorf("what an agent wrote gets through: %q", l)
		}
	}
	return frame
}

func TestFrames(t *testing.T) {
	broken := fleet()
	broken.snap.Mistake = "bottles/dev.md:3:1: unknown key (did you mean egress?)"
	for name, m := range map[string]*model{
		"80x24":         screen(t, fleet(), 80, 24),
		"120x40":        screen(t, fleet(), 120, 40),
		"plan":          screen(t, fleet(), 80, 24, "p"),
		"approve":       screen(t, fleet(), 80, 24, "tab", "down", "y"),
		"empty":         screen(t, &world{snap: Snapshot{At: noon}}, 80, 24),
		"broken":        screen(t, broken, 80, 24),
		"before":        {src: fleet(), now: time.Now, width: 80, height: 24},
		"after a start": screen(t, fleet(), 80, 24, "down", "s", "y"),
	} {
		t.Run(name, func(t *testing.T) {
			got := fits(t, m) + "\n"
			file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := screen(t, fleet(), 20, 5).View(); !strings.Contains(got, "too small") {
		t.Errorf("%q", got)
	}
}

// Every size has a frame that fits it.
func TestSizes(t *testing.T) {
	for width := minWidth; width < 130; width += 7 {
		for height := minHeight; height < 50; height += 3 {
			m := screen(t, fleet(), width, height)
			for range panes {
				fits(t, m)
				press(m, "down", "tab")
			}
		}
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys []string
		want [][]string
	}{
		{"start, sure", []string{"down", "down", "s", "y"}, [][]string{{"apply", "-y", "coder"}}},
		{"start, not sure", []string{"s", "n"}, nil},
		{"stop, sure", []string{"x", "y"}, [][]string{{"stop", "coder"}}},
		{"stop, not sure", []string{"x", "x"}, nil},
		{"modify", []string{"m"}, [][]string{{"supervise", "modify", "p1"}}},
		{"attach", []string{"a"}, [][]string{{"attach", "coder"}}},
		{"approve says what was shown", []string{"y", "y"}, [][]string{{"supervise", "approve", "p1", "--digest", "d1"}}},
		{"reject the second", []string{"tab", "down", "n", "y"}, [][]string{{"supervise", "reject", "p2"}}},
		{"explain the newest", []string{"e"}, [][]string{{"explain", "coder", "https://x.example.org/\x1b]0;owned\x07"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fleet()
			if tt.name == "start, sure" { // sorted by cli: here the fourth
				tt.keys = tt.keys[2:]
			}
			screen(t, w, 80, 24, tt.keys...)
			if diff := cmp.Diff(tt.want, w.ran); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	w := &world{}
	screen(t, w, 80, 24, "s", "a", "x", "m", "y", "n", "e", "p", "down", "tab", "down")
	if len(w.ran) > 0 {
		t.Errorf("with nothing there it ran %v", w.ran)
	}
}

// A proposal that comes or goes while a person decides changes nothing about
// what is answered.
func TestQuestionIsAboutWhatWasShown(t *testing.T) {
	w := fleet()
	m := screen(t, w, 80, 24, "y")
	w.snap.Proposals = w.snap.Proposals[1:]
	m.Update(lookedMsg{snap: w.snap})
	press(m, "y")
	if diff := cmp.Diff([][]string{{"supervise", "approve", "p1", "--digest", "d1"}}, w.ran); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsStayOnTheScreen(t *testing.T) {
	w := fleet()
	m := screen(t, w, 80, 24)
	m.Update(lookedMsg{err: errors.New("no engine answers\nat all")})
	if got := fits(t, m); !strings.Contains(got, "! no engine answers") || !strings.Contains(got, "coder") {
		t.Errorf("%s", got)
	}
	m.Update(lookedMsg{snap: w.snap})
	if got := fits(t, m); strings.Contains(got, "no engine") {
		t.Errorf("%s", got)
	}
	if len(m.said) != 1 {
		t.Errorf("%q", m.said)
	}
}

func TestOnce(t *testing.T) {
	got, err := Once(t.Context(), fleet(), 80)
	if err != nil || !strings.Contains(got, "coder_2") || !strings.Contains(got, "pypi.example.com") || !strings.Contains(got, "tracker.example.org") || strings.Contains(got, keys) {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := Once(t.Context(), &world{err: errors.New("no engine")}, 80); err == nil {
		t.Error("an error is lost")
	}
}
