package dash

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"
)

// keys takes what was typed. Keys that came fast are one message.
func (m *model) keys(msg tea.KeyMsg) tea.Cmd {
	defer m.read()
	if m.input != nil {
		return m.inputKey(msg)
	}
	if msg.Paste {
		m.say("what is pasted answers nothing: type keys")
		return nil
	}
	if msg.Type != tea.KeyRunes || len(msg.Runes) == 1 {
		return m.key(msg.String())
	}
	var all []tea.Cmd
	for i, r := range msg.Runes {
		before := m.sheet
		if m.input != nil { // the rest of what was typed is text
			all = append(all, m.inputKey(tea.KeyMsg{Type: tea.KeyRunes, Runes: msg.Runes[i:]}))
			break
		}
		all = append(all, m.key(string(r)))
		if m.sheet != before && m.sheet != nil {
			break // what was typed before somebody saw it is no answer to it
		}
	}
	return tea.Batch(all...)
}

// key does what one key stands for.
func (m *model) key(k string) tea.Cmd {
	if m.busy == "" {
		m.say("")
	}
	switch {
	case m.ask != nil:
		return m.answer(k)
	case k == "ctrl+c", k == "q" && m.sheet == nil:
		return m.quit()
	case k == "ctrl+z":
		return tea.Suspend
	case m.sheet != nil:
		return m.sheetKey(k)
	}
	if b := bound(m.focus, k); b != nil {
		return b.do(m)
	}
	m.unknown(k)
	return nil
}

func (m *model) unknown(k string) { m.say(oneLine(k) + " is no key here: ? lists them") }

// quit closes the screen, unless a command is under way: then it waits for that,
// or leaves it to itself when it is asked again.
func (m *model) quit() tea.Cmd {
	if m.busy == "" {
		return tea.Quit
	}
	if !m.leaving {
		m.leaving = true
		m.say(m.busy + " is under way: the screen closes at its end (q leaves now, and it goes on)")
		return nil
	}
	m.remember(m.busy + " goes on by itself; what it says goes to a file in " + m.logs)
	return tea.Quit
}

// question waits for y; any other key is no.
type question struct {
	text string
	job  job
}

func (m *model) answer(k string) tea.Cmd {
	q := m.ask
	m.ask = nil
	if k == "y" {
		return m.begin(q.job)
	}
	m.say("not done")
	return nil
}

// free reports whether a command can begin, and says why not.
func (m *model) free() bool {
	if m.busy != "" {
		m.say(m.busy + " is under way: one at a time")
	}
	return m.busy == ""
}

// step is how far a key moves in a pane.
func (m *model) step(by int) {
	m.move(m.focus, m.at[m.focus]+by)
}

// page is how many entries of the pane with the keys are in view.
func (m *model) page() int { return max(1, m.heights()[m.focus]-1) }

// turn gives the keys to another pane.
func (m *model) turn(by pane) { m.focus = (m.focus + by + panes) % panes }

// problem lists all that is wrong and that went wrong.
func (m *model) allProblems() {
	text := ""
	for _, p := range m.problems() {
		text += "now  " + oneLine(p) + "\n"
	}
	for _, s := range m.said {
		text += "said " + s + "\n"
	}
	if text == "" {
		text = "nothing went wrong\n"
	}
	m.open(&sheet{title: "what is wrong, and what failed", text: text})
}

// help lists all keys.
func (m *model) help() {
	text := ""
	for _, part := range []struct {
		title string
		panes []pane
	}{{"everywhere", nil}, {"bottles", []pane{bottles}}, {"asked", []pane{proposals}}, {"denied", []pane{denials}}} {
		text += part.title + "\n"
		for _, b := range bindings {
			if (len(b.in) == 0) == (part.panes == nil) && (part.panes == nil || b.in[0] == part.panes[0]) {
				text += fmt.Sprintf("  %-12s %s\n", b.shown(), b.help)
			}
		}
		text += "\n"
	}
	m.open(&sheet{title: "keys", text: text + "one proposal, shown whole\n" + answerHelp})
}
