package dash

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// binding is what keys stand for in some panes; in none of them means in all.
type binding struct {
	keys []string
	in   []pane
	word string // for the line of keys; "" leaves it out
	help string
	do   func(*model) tea.Cmd
}

// bindings are filled in by init: help is one of them, and lists them.
var bindings []binding

func init() {
	only := func(p pane) []pane { return []pane{p} }
	still := func(do func(*model)) func(*model) tea.Cmd {
		return func(m *model) tea.Cmd {
			do(m)
			return nil
		}
	}
	to := func(at func(*model) int) func(*model) tea.Cmd {
		return still(func(m *model) { m.move(m.focus, at(m)) })
	}
	bindings = []binding{
		{[]string{"q", "ctrl+c"}, nil, "q quit", "close the screen", (*model).quit},
		{[]string{"?"}, nil, "? keys", "this list", still((*model).help)},
		{[]string{"tab"}, nil, "tab pane", "the next pane", still(func(m *model) { m.turn(1) })},
		{[]string{"shift+tab"}, nil, "", "the pane before", still(func(m *model) { m.turn(-1) })},
		{[]string{"p"}, nil, "p plan", "what bb apply would do", still(func(m *model) { m.focus = planned })},
		{[]string{"up", "k"}, nil, "", "one up", still(func(m *model) { m.step(-1) })},
		{[]string{"down", "j"}, nil, "", "one down", still(func(m *model) { m.step(1) })},
		{[]string{"pgup"}, nil, "", "a page up", still(func(m *model) { m.step(-m.page()) })},
		{[]string{"pgdown", " "}, nil, "", "a page down", still(func(m *model) { m.step(m.page()) })},
		{[]string{"home", "g"}, nil, "", "the first", to(func(*model) int { return 0 })},
		{[]string{"end", "G"}, nil, "", "the last", to(func(m *model) int { return len(m.ids(m.focus)) })},
		{[]string{"r"}, nil, "", "look now", (*model).lookNow},
		{[]string{"!"}, nil, "", "all that is wrong and that failed", still((*model).allProblems)},
		{[]string{"ctrl+z"}, nil, "", "stop the screen; fg brings it back", nil},

		{[]string{"enter"}, only(bottles), "enter info", "what is in force for its agent (bb info)", withBottle((*model).info)},
		{[]string{"s"}, only(bottles), "s start", "make it as its manifest says, or go on in one that is stopped", withBottle((*model).start)},
		{[]string{"x"}, only(bottles), "x stop", "stop this bottle, and keep it", withBottle((*model).stop)},
		{[]string{"a"}, only(bottles), "a attach", "its program on this terminal", withBottle((*model).attach)},
		{[]string{"v"}, only(bottles), "", "take back what was approved for it", withBottle((*model).revoke)},
		{[]string{"enter", "y"}, only(proposals), "enter show and answer", "show it whole; it is answered there", still((*model).showProposal)},
		{[]string{"enter", "e"}, only(denials), "e explain", "why it was refused, and what would allow it", (*model).explain},
	}
}

func (b *binding) shown() string {
	return strings.ReplaceAll(strings.Join(b.keys, " "), "  ", " space ")
}

func (b *binding) holds(p pane) bool { return len(b.in) == 0 || slices.Contains(b.in, p) }

// bound is what a key stands for in a pane, or nil.
func bound(p pane, key string) *binding {
	for i := range bindings {
		if b := &bindings[i]; b.holds(p) && slices.Contains(b.keys, key) {
			return b
		}
	}
	return nil
}

// keyLine names the keys of a pane, those first that must be known.
func keyLine(p pane) string {
	var general, own []string
	for _, b := range bindings {
		switch {
		case b.word == "" || !b.holds(p):
		case len(b.in) == 0:
			general = append(general, b.word)
		default:
			own = append(own, b.word)
		}
	}
	return strings.Join(append(append(general[:2:2], own...), general[2:]...), "  ")
}
