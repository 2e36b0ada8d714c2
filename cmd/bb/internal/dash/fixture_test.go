package dash

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/mattn/go-runewidth"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// world is a source that changes only when a test changes it.
type world struct {
	snap Snapshot
	err  error
	ran  [][]string
	dirs []string
	// does is what a command does instead of saying its words.
	does func(Call) *exec.Cmd
}

func (w *world) Look(context.Context) (Snapshot, error) { return w.snap, w.err }

func (w *world) Command(c Call) *exec.Cmd {
	w.ran, w.dirs = append(w.ran, c.Args), append(w.dirs, c.Dir)
	if w.does != nil {
		return w.does(c)
	}
	return exec.Command("/bin/echo", c.Args...)
}

// nasty is what an agent would write to make the screen lie.
const nasty = "\x1b[2J\x1b[Happroved\r\nby \u202eyou\t\t\t\t\t\t\t\t\t\tover there"

// strange are characters that terminals differ about, or that are wide: combining
// marks, zero width, a family that is one or four, a flag, a keycap, Hangul in
// parts, Thai with a vowel that joins.
const strange = "e\u0301 a\u200bb \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea 1\ufe0f\u20e3 \U0001f44d\U0001f3fd \u1112\u1161\u11ab กำ 漢字 ｗｉｄｅ"

func fleet() *world {
	bottle := func(name, state string, b Bottle) Bottle {
		agent, _, _ := strings.Cut(name, "_")
		b.ID, b.Name, b.Exact, b.Agent, b.State = "home/"+name, name, name, agent, state
		if name == agent {
			b.Exact = name + "_1"
		}
		b.There = b.Sidecar != ""
		return b
	}
	return &world{snap: Snapshot{
		At: noon,
		Bottles: []Bottle{
			bottle("an-agent-with-a-very-long-name-indeed", Stopped, Bottle{Policy: "dev", Backend: "docker", Sidecar: "stopped", Created: noon.Add(-72 * time.Hour)}),
			bottle("coder", Running, Bottle{Policy: "dev", Backend: "docker", Sidecar: "configured", Created: noon.Add(-3 * time.Hour), Requests: 1234, Denials: 7, Bytes: 5 << 20, Memory: 300 << 20}),
			bottle("coder_2", Running, Bottle{Policy: "dev", Backend: "smolvm", Sidecar: "stopped", Created: noon.Add(-90 * time.Second)}),
			bottle("coder_x4f1", Stopped, Bottle{Policy: "dev", Backend: "docker", Sidecar: "stopped", AdHoc: true}),
			bottle("reviewer", NotThere, Bottle{Policy: "read-only", Backend: "docker"}),
			bottle("session", OnDemand, Bottle{Policy: "read-only"}),
		},
		Proposals: []Proposal{
			{ID: "p1-whole", Short: "p1", Bottle: "coder", What: "reach pypi.example.com:443", Why: "install the linter", Labels: []string{"new host"}, Since: noon, Digest: "d1", Whole: "proposal  p1\nwants     pypi\n!         new host\ndigest    d1\n"},
			{ID: "p2-whole", Short: "p2", Bottle: "coder_2", What: "reach x.example.com:443", Why: nasty, Labels: []string{"internal address"}, Since: noon, Digest: "d2", Whole: "wants     " + nasty + "\n" + strings.Repeat("| RUN "+strange+"\n", 30) + "last line\n"},
			{ID: "p3-whole", Short: "p3", Bottle: "coder", What: "push refs/heads/main of origin was refused: " + strange, Since: noon, Digest: "d3", Whole: "push\n", NoYes: "what may be pushed is the manifest's to say", NoMod: "only a route can be modified"},
		},
		Denials: []Denial{
			{ID: "1", At: noon.Add(-time.Minute), Bottle: "coder", Agent: "coder", Method: "POST", URL: "https://tracker.example.org/a", Text: "no route for tracker.example.org"},
			{ID: "2", At: noon, Bottle: "coder", Agent: "coder", Method: "push", URL: "origin refs/heads/main", Text: "the push has a secret", Whole: "refused  origin\n    the push has a secret\n"},
			{ID: "3", At: noon, Bottle: "coder", Agent: "coder", Method: "GET", URL: "https://x.example.org/\x1b]0;owned\x07\t" + strange, Text: "no route"},
		},
		Changes: []Change{{Agent: "reviewer", Name: "reviewer", Action: "create"}, {Agent: "gone", Name: "gone", Action: "remove", Kept: true}},
		Plan:    "bb will\n\n  + reviewer docker    create\n\nPlan: 1 to create, 0 to update, 0 to replace, 0 to remove.\n",
		Summary: "Plan: 1 to create, 0 to update, 0 to replace, 0 to remove.",
	}}
}

// screen is one that has looked, and on which keys were typed.
func screen(t *testing.T, w *world, width, height int, keys ...string) *model {
	t.Helper()
	m := newModel(w, func() time.Time { return noon })
	m.plain, m.logs = true, t.TempDir()
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	lookAgain(m)
	press(m, keys...)
	return m
}

func lookAgain(m *model) { settle(m, m.lookNow()) }

// press types keys, one at a time, and lets commands that were begun end. It
// returns whether the screen was closed.
func press(m *model, keys ...string) (quit bool) {
	for _, k := range keys {
		quit = settle(m, pressed(m, k)) || quit
	}
	return quit
}

// pressed types one key, and leaves what it began under way.
func pressed(m *model, k string) tea.Cmd {
	named := map[string]tea.KeyType{
		"tab": tea.KeyTab, "down": tea.KeyDown, "up": tea.KeyUp, "enter": tea.KeyEnter, "esc": tea.KeyEsc, "pgdown": tea.KeyPgDown,
		"pgup": tea.KeyPgUp, "home": tea.KeyHome, "end": tea.KeyEnd, "ctrl+c": tea.KeyCtrlC, "backspace": tea.KeyBackspace,
	}
	msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
	if n, ok := named[k]; ok {
		msg = tea.KeyMsg{Type: n}
	}
	_, cmd := m.Update(msg)
	return cmd
}

// settle does what Bubble Tea does with a command, but for the next look.
func settle(m *model, cmd tea.Cmd) (quit bool) {
	if cmd == nil {
		return false
	}
	switch msg := cmd().(type) {
	case tea.QuitMsg:
		return true
	case tea.BatchMsg:
		for _, c := range msg {
			quit = settle(m, c) || quit
		}
		return quit
	case lookedMsg:
		m.Update(msg)
		return false
	default:
		_, next := m.Update(msg)
		return settle(m, next)
	}
}

// drawn is how many cells a terminal moves on for a line, and false where that
// depends on the terminal: on whether it joins characters, or knows tabs.
func drawn(line string) (cells int, sure bool) {
	alone := runewidth.Condition{StrictEmojiNeutral: true}
	sure = true
	for _, r := range line {
		n := alone.RuneWidth(r)
		cells, sure = cells+n, sure && n > 0 && r >= ' '
	}
	return cells, sure && cells == ansi.StringWidth(line)
}

// fits asserts that a frame is exactly as large as its terminal, in every
// terminal, and that nothing in it moves the cursor.
func fits(t *testing.T, m *model) string {
	t.Helper()
	frame := m.View()
	lines := strings.Split(frame, "\n")
	if len(lines) != m.height {
		t.Errorf("%d lines in a terminal of %d:\n%s", len(lines), m.height, frame)
	}
	for _, l := range lines {
		if n, sure := drawn(l); n > m.width || !sure {
			t.Errorf("a line of %d (certainly: %v) in a terminal of %d: %q", n, sure, m.width, l)
		}
		if strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e }) {
			t.Errorf("what an agent wrote gets through: %q", l)
		}
	}
	return frame
}
