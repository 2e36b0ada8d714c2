package dash

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Nothing is approved that was not on the screen to its end.
func TestApprovesWhatWasRead(t *testing.T) {
	w := fleet()
	m := screen(t, w, 80, 24, "tab", "down", "enter", "y")
	if len(w.ran) > 0 || !strings.Contains(fits(t, m), "the rest of it is unread") {
		t.Fatalf("it ran %v", w.ran)
	}
	for range 20 {
		if got := fits(t, m); strings.Contains(got, "last line") {
			break
		}
		press(m, "pgdown")
	}
	press(m, "home", "y")
	if diff := cmp.Diff([][]string{{"supervise", "approve", "p2-whole", "--digest", "d2", "--for", "4h"}}, w.ran); diff != "" {
		t.Error(diff)
	}
}

// All of a proposal can be read: no line of it is cut.
func TestProposalIsShownWhole(t *testing.T) {
	w := fleet()
	text := strings.Repeat("0123456789", 100)
	w.snap.Proposals[0].Whole = "wants     " + text + "\n"
	m := screen(t, w, 53, 30, "tab", "enter")
	var got strings.Builder
	for _, l := range strings.Split(fits(t, m), "\n")[1:] {
		got.WriteString(strings.TrimPrefix(l, "... "))
	}
	if !strings.Contains(got.String(), text) {
		t.Errorf("%s", got.String())
	}
}

// A proposal that comes, goes or changes while a person decides changes nothing
// about what is answered, and is told of.
func TestAnswerIsAboutWhatWasShown(t *testing.T) {
	w := fleet()
	m := screen(t, w, 80, 24, "tab", "y")
	w.snap.Proposals = slices.Clone(w.snap.Proposals)
	w.snap.Proposals[0].Digest = "other"
	lookAgain(m)
	if got := fits(t, m); !strings.Contains(got, "! it, or the policy, moved since") {
		t.Errorf("%s", got)
	}
	w.snap.Proposals = w.snap.Proposals[1:]
	lookAgain(m)
	if got := fits(t, m); !strings.Contains(got, "! it waits no more") {
		t.Errorf("%s", got)
	}
	press(m, "y")
	if diff := cmp.Diff([][]string{{"supervise", "approve", "p1-whole", "--digest", "d1", "--for", "4h"}}, w.ran); diff != "" {
		t.Error(diff)
	}
}

// Labels are bb's words: they come before the agent's.
func TestLabelsComeFirst(t *testing.T) {
	w := fleet()
	w.snap.Proposals[0].What = strings.Repeat("x", 300)
	got := fits(t, screen(t, w, 60, 24))
	if !strings.Contains(got, "[new host] xxx") {
		t.Errorf("%s", got)
	}
}

// The chosen one is marked in the pane that has the keys, and there alone.
func TestMarks(t *testing.T) {
	m := screen(t, fleet(), 80, 24)
	for _, want := range []string{"> an-agent", "> p1 ", "> 12:00:00 coder"} {
		if got := fits(t, m); strings.Count(got, "\n> ") != 1 || !strings.Contains(got, "\n"+want) {
			t.Errorf("no single %q in\n%s", want, got)
		}
		press(m, "tab")
	}
	m.plain = false
	press(m, "tab")
	if got := m.View(); strings.Count(got, "\x1b[7m") != 1 || !strings.Contains(got, "\x1b[7m> an-agent") {
		t.Errorf("%q", got)
	}
}
