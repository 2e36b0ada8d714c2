package dash

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/google/go-cmp/cmp"
)

// Where the fleet's bottles stand.
var to = map[string][]string{
	"long": nil, "coder": {"down"}, "coder_2": {"down", "down"}, "session": {"end"},
	"coder_x4f1": {"end", "up", "up"}, "reviewer": {"end", "up"},
}

func TestKeys(t *testing.T) {
	approve := func(words ...string) [][]string {
		return [][]string{append([]string{"supervise", "approve", "p1-whole", "--digest", "d1"}, words...)}
	}
	for _, tt := range []struct {
		name string
		at   string
		keys []string
		want [][]string
		says string
	}{
		{"start what is not there", "reviewer", []string{"s", "y"}, [][]string{{"apply", "-y", "--no-replace", "reviewer"}}, "apply reviewer: "},
		{"start, not sure", "reviewer", []string{"s", "n"}, nil, "not done"},
		{"start what is as it should be", "coder", []string{"s"}, nil, "nothing to do: coder is as its manifest says"},
		{"start what is stopped", "long", []string{"s"}, [][]string{{"start", "--resume", "an-agent-with-a-very-long-name-indeed_1"}}, ""},
		{"start a session that is stopped", "coder_x4f1", []string{"s"}, [][]string{{"start", "--resume", "coder_x4f1"}}, ""},
		{"start what has no replicas", "session", []string{"s"}, [][]string{{"start", "session"}}, ""},
		{"stop the first alone", "coder", []string{"x", "y"}, [][]string{{"stop", "coder_1"}}, "stop coder: "},
		{"stop, not sure", "coder", []string{"x", "x"}, nil, "not done"},
		{"stop what is not there", "reviewer", []string{"x"}, nil, "there is nothing to stop: reviewer is not there"},
		{"stop what is stopped", "long", []string{"x"}, nil, "is stopped"},
		{"attach", "coder", []string{"a"}, [][]string{{"attach", "coder_1"}}, ""},
		{"attach to what does not run", "reviewer", []string{"a"}, nil, "reviewer does not run: s starts it"},
		{"revoke", "coder_2", []string{"v", "y"}, [][]string{{"supervise", "revoke", "coder_2"}}, ""},
		{"info", "coder", []string{"enter"}, [][]string{{"info", "coder"}}, ""},
		{"keys of another pane", "coder", []string{"y", "n", "m", "e"}, nil, "e is no key here: ? lists them"},
		{"keys of another pane", "coder", []string{"tab", "x", "s", "a"}, nil, "a is no key here"},
		{"approve", "", []string{"tab", "enter", "y"}, approve("--for", "4h"), "approve p1 of coder: supervise approve"},
		{"approve for another time", "", []string{"tab", "y", "f", "f", "y"}, approve("--keep"), ""},
		{"modify", "", []string{"tab", "y", "f", "m"}, [][]string{{"supervise", "modify", "p1-whole", "--for", "24h"}}, ""},
		{"reject the second", "", []string{"tab", "down", "y", "n", "no", " ", "way", "enter"}, [][]string{{"supervise", "reject", "p2-whole", "--reason=no way"}}, ""},
		{"reject without a reason", "", []string{"tab", "y", "n", "x", "backspace", "enter"}, [][]string{{"supervise", "reject", "p1-whole"}}, ""},
		{"reject, not sure", "", []string{"tab", "y", "n", "x", "esc"}, nil, "not done"},
		{"a push is nobody's to approve", "", []string{"tab", "end", "y", "y"}, nil, "the manifest's to say"},
		{"a push is nobody's to modify", "", []string{"tab", "end", "y", "m"}, nil, "only a route"},
		{"explain the newest", "", []string{"tab", "tab", "e"}, [][]string{{"explain", "--method=GET", "coder", "https://x.example.org/\x1b]0;owned\x07\t" + strange}}, ""},
		{"explain with its method", "", []string{"tab", "tab", "home", "e"}, [][]string{{"explain", "--method=POST", "coder", "https://tracker.example.org/a"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fleet()
			m := screen(t, w, 80, 24, append(append([]string{}, to[tt.at]...), tt.keys...)...)
			if diff := cmp.Diff(tt.want, w.ran); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !strings.Contains(m.note, tt.says) {
				t.Errorf("it says %q", m.note)
			}
			fits(t, m)
		})
	}
	t.Run("nothing there", func(t *testing.T) {
		w := &world{}
		screen(t, w, 80, 24, "s", "a", "x", "v", "enter", "tab", "y", "n", "m", "tab", "e", "enter", "p", "down", "tab", "down")
		if len(w.ran) > 0 {
			t.Errorf("it ran %v", w.ran)
		}
	})
}

// What a start would cost is named, and needs the whole command on the terminal.
func TestStartOfWhatWouldBeReplaced(t *testing.T) {
	w := fleet()
	w.snap.Changes = []Change{
		{Agent: "coder", Name: "coder", Action: "replace"},
		{Agent: "coder", Name: "coder_2", Action: "update"},
		{Agent: "coder", Name: "coder_3", Action: "remove", Kept: true},
		{Agent: "home/coder", Name: "home/coder", Action: "remove"},
	}
	m := screen(t, w, 120, 24, "down", "s")
	if got := fits(t, m); !strings.Contains(got, "bb apply coder replaces coder: its disk goes, update coder_2. Go on in the terminal?") {
		t.Errorf("it asks\n%s", got)
	}
	m.Update(tea.WindowSizeMsg{Width: 45, Height: 16})
	if got := strings.ReplaceAll(strings.Join(strings.Fields(fits(t, m)), " "), "... ", ""); !strings.Contains(got, "bb apply coder replaces coder: its disk goes, update coder_2. Go on in the terminal?") {
		t.Errorf("it asks\n%s", got)
	}
	press(m, "y")
	if diff := cmp.Diff([][]string{{"apply", "coder"}}, w.ran); diff != "" {
		t.Error(diff)
	}
	w.snap.Changes = []Change{{Agent: "coder", Name: "coder", Action: "blocked", Note: "read it: bb allow coder"}}
	if m := screen(t, w, 100, 24, "down", "s"); m.note != "coder is blocked: read it: bb allow coder" {
		t.Errorf("it says %q", m.note)
	}
	w.snap.Plan = ""
	if m := screen(t, w, 100, 24, "down", "s"); !strings.Contains(m.note, "nothing could be planned") {
		t.Errorf("it says %q", m.note)
	}
}

// Bottles of one name are told apart, and commands are called where they belong.
func TestOneNameTwice(t *testing.T) {
	w := fleet()
	repo, home, far := w.snap.Bottles[1], w.snap.Bottles[1], w.snap.Bottles[1]
	home.ID, home.Name, home.Exact, home.Agent = "h", "home/coder", "home/coder_1", "home/coder"
	far.ID, far.Name, far.Where, far.Dir, far.Elsewhere = "f", "coder", "~/src/far", "/src/far", true
	w.snap.Bottles = []Bottle{far, repo, home}
	m := screen(t, w, 120, 24, "end", "x", "y", "home", "x", "y", "s")
	if got := fits(t, m); !strings.Contains(got, "home/coder ") || !strings.Contains(got, "~/src/far") {
		t.Errorf("%s", got)
	}
	if diff := cmp.Diff([][]string{{"stop", "home/coder_1"}, {"stop", "coder_1"}, {"apply", "coder"}}, w.ran); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"", "/src/far", "/src/far"}, w.dirs); diff != "" {
		t.Error(diff)
	}
}

// Keys that come in one message all count; what is pasted answers nothing, and
// nothing answers a question before it was on the screen.
func TestFastKeys(t *testing.T) {
	w := fleet()
	m := screen(t, w, 80, 24)
	press(m, "jjxy")
	if diff := cmp.Diff([][]string{{"stop", "coder_2"}}, w.ran); diff != "" {
		t.Error(diff)
	}
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("xy"), Paste: true})
	press(m, "tab", "yy", "esc", "ym")
	if len(w.ran) != 1 || m.sheet == nil {
		t.Errorf("it ran %v, and shows %+v", w.ran, m.sheet)
	}
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("nbecause")})
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(" I say\nso"), Paste: true})
	press(m, "enter")
	if diff := cmp.Diff([]string{"supervise", "reject", "p1-whole", "--reason=because I say\nso"}, w.ran[1]); diff != "" {
		t.Error(diff)
	}
}

// What was chosen stays chosen, wherever it is after the next look.
func TestChoiceIsOfOneThing(t *testing.T) {
	w := fleet()
	m := screen(t, w, 80, 24, "down", "down", "tab", "down")
	w.snap.Bottles = w.snap.Bottles[1:]
	w.snap.Proposals = append([]Proposal{{ID: "p0", Short: "p0", Whole: "x\n"}}, w.snap.Proposals...)
	lookAgain(m)
	if m.chosen[bottles] != "home/coder_2" || m.chosen[proposals] != "p2-whole" {
		t.Errorf("chosen are %q", m.chosen)
	}
	w.snap.Proposals = w.snap.Proposals[:2] // the chosen one went
	lookAgain(m)
	if m.chosen[proposals] != "p1-whole" {
		t.Errorf("chosen is %q", m.chosen[proposals])
	}
	press(m, "tab", "up") // not the newest
	w.snap.Denials = append(w.snap.Denials, Denial{ID: "4"})
	lookAgain(m)
	if m.chosen[denials] != "2" {
		t.Errorf("chosen is %q", m.chosen[denials])
	}
	press(m, "end")
	w.snap.Denials = append(w.snap.Denials, Denial{ID: "5"})
	lookAgain(m)
	if m.chosen[denials] != "5" {
		t.Errorf("chosen is %q", m.chosen[denials])
	}
}
