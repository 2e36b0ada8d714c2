package dash

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// Size below which nothing is drawn but a word about it.
const minWidth, minHeight = 40, 12

// line is one line of the screen, and how it looks where the terminal can show
// that: its text alone says everything.
type line struct {
	text string
	look look
}

type look int

const (
	usual look = iota
	titled
	marked
	wrong
)

var attributes = map[look]string{titled: "\x1b[1m", marked: "\x1b[7m", wrong: "\x1b[31m"}

// View draws the screen: lines of exactly the terminal's width at most, none
// wraps, and none of what an agent wrote moves the cursor.
func (m *model) View() string {
	if m.width == 0 {
		return ""
	}
	if m.width < minWidth || m.height < minHeight {
		return "bb: the terminal is too small\nq quits"
	}
	lines := []line{}
	if m.sheet != nil {
		lines = append(lines, m.sheetView()...)
	} else {
		lines = append(lines, line{text: m.head()})
		heights := m.heights()
		for p := range panes {
			if heights[p] > 0 {
				lines = append(lines, m.list(p, heights[p])...)
			}
		}
	}
	return m.draw(append(lines, m.foot()...))
}

func (m *model) draw(lines []line) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		text := ansi.Truncate(cells(l.text), m.width, "~")
		if on := attributes[l.look]; on != "" && !m.plain {
			text = on + text + "\x1b[0m"
		}
		b.WriteString(text)
	}
	return b.String()
}

// below is how many lines stand below panes and sheets.
func (m *model) below() int { return len(m.foot()) }

// foot is what is wrong, what was said last, and the keys.
func (m *model) foot() []line {
	var out []line
	problems := m.problems()
	if m.sheet != nil && m.sheet.moved != "" {
		problems = append([]string{m.sheet.moved}, problems...)
	}
	if len(problems) > 0 {
		text := "! " + oneLine(problems[0])
		if more := len(problems) - 1; more > 0 {
			tell := fmt.Sprintf(" (%d more: !)", more)
			text = cut(text, m.width-len(tell)) + tell
		}
		out = append(out, line{text, wrong})
	}
	keys := keyLine(m.focus)
	if m.sheet != nil {
		keys = m.sheetKeys()
	}
	switch {
	case m.input != nil:
		out = append(out, line{text: m.typed()})
		keys = "enter sends  esc does not"
	case m.ask != nil:
		out = append(out, m.question()...)
		keys = "y yes  any other key no"
	case m.failed:
		out = append(out, line{"! " + m.note, wrong})
	case m.note == "" && m.busy != "":
		out = append(out, line{text: m.busy + " ..."})
	default:
		out = append(out, line{text: m.note})
	}
	return append(out, line{text: keys})
}

// typed is a line that is typed, its end in view.
func (m *model) typed() string {
	ask := m.input.ask
	text := cells(string(m.input.text)) + "_"
	if room := m.width - ansi.StringWidth(ask); ansi.StringWidth(text) > room {
		text = ansi.TruncateLeft(text, ansi.StringWidth(text)-room, "")
	}
	return ask + text
}

// question is what is asked, all of it, on up to half the screen.
func (m *model) question() (out []line) {
	all := wrap(m.ask.text+"  y: yes, any other key: no", m.width)
	if most := m.height / 2; len(all) > most {
		all = append(all[:most-2:most-2], "    ...", all[len(all)-1])
	}
	for _, l := range all {
		out = append(out, line{l, marked})
	}
	return out
}

func (m *model) head() string {
	if !m.looked {
		return "bb  looking ..."
	}
	running := 0
	for _, b := range m.snap.Bottles {
		if b.State == Running {
			running++
		}
	}
	text := fmt.Sprintf("bb  %d of %d run", running, len(m.snap.Bottles))
	if n := len(m.snap.Proposals); n > 0 {
		text += fmt.Sprintf("  %d asked", n)
	}
	changes := 0
	for _, c := range m.snap.Changes {
		if !c.Kept {
			changes++
		}
	}
	if changes > 0 {
		text += fmt.Sprintf("  plan: %d to change", changes)
	}
	return text + "  " + m.snap.At.Format(time.TimeOnly)
}
