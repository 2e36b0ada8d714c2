package dash

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// sheet is a text that has the whole screen, and can be longer than that.
type sheet struct {
	title string
	text  string
	at    int
	// asks is the proposal that it shows, as it was when it was opened; lasts is
	// for how long it would be approved.
	asks  *Proposal
	lasts int
	moved string // what became of it meanwhile
	// read says that the last line was on the screen.
	read bool
}

func (m *model) open(s *sheet) { m.sheet = s }

// room is how many lines of a sheet are in view.
func (m *model) room() int { return max(1, m.height-m.below()-1) }

// lines are a sheet's, none wider than the screen.
func (m *model) lines() []string { return wrap(m.sheet.text, max(minWidth, m.width)) }

// read notes whether a sheet was seen to its end.
func (m *model) read() {
	if m.sheet != nil && m.height >= minHeight && m.width >= minWidth && m.sheet.at+m.room() >= len(m.lines()) {
		m.sheet.read = true
	}
}

// compare tells when what a sheet shows is not what waits any more.
func (s *sheet) compare(waits []Proposal) {
	if s.asks == nil {
		return
	}
	s.moved = "it waits no more"
	for _, p := range waits {
		if p.ID != s.asks.ID {
			continue
		}
		if s.moved = ""; p.Digest != s.asks.Digest {
			s.moved = "it, or the policy, moved since: esc, and open it again"
		}
	}
}

// sheetKey moves in a sheet, closes it, or answers what it shows.
func (m *model) sheetKey(k string) tea.Cmd {
	s := m.sheet
	last := max(0, len(m.lines())-m.room())
	switch k {
	case "q", "esc":
		m.sheet = nil
	case "up", "k":
		s.at--
	case "down", "j", "enter":
		s.at++
	case "pgup", "b":
		s.at -= m.room()
	case "pgdown", " ":
		s.at += m.room()
	case "home", "g":
		s.at = 0
	case "end", "G":
		s.at = last
	default:
		if s.asks != nil {
			return m.proposalKey(k)
		}
		m.unknown(k)
	}
	s.at = max(0, min(s.at, last))
	return nil
}

// sheetView draws it: its title says how much there is.
func (m *model) sheetView() []line {
	all := m.lines()
	room := m.room()
	at := max(0, min(m.sheet.at, len(all)-room))
	title := "== " + m.sheet.title
	if end := min(len(all), at+room); len(all) > room {
		title += fmt.Sprintf("  %d-%d of %d lines", at+1, end, len(all))
	}
	out := []line{{title, titled}}
	for _, l := range all[at:min(len(all), at+room)] {
		out = append(out, line{text: l})
	}
	for len(out) < room+1 {
		out = append(out, line{})
	}
	return out
}

func (m *model) sheetKeys() string {
	if m.sheet.asks != nil {
		return answerLine(m.sheet)
	}
	return "esc back  space page  up down home end"
}

// input is a line that a person types. Enter takes it, esc drops it.
type input struct {
	ask  string
	text []rune
	then func(text string) tea.Cmd
}

func (m *model) inputKey(msg tea.KeyMsg) tea.Cmd {
	in := m.input
	switch msg.Type {
	case tea.KeyEnter:
		m.input = nil
		return in.then(strings.TrimSpace(string(in.text)))
	case tea.KeyEsc, tea.KeyCtrlC:
		m.input = nil
		m.say("not done")
	case tea.KeyBackspace:
		in.text = in.text[:max(0, len(in.text)-1)]
	case tea.KeyCtrlU:
		in.text = nil
	case tea.KeyRunes, tea.KeySpace:
		in.text = append(in.text, msg.Runes...)
	}
	return nil
}
