package dash

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
)

// Size below which nothing is drawn but a word about it.
const minWidth, minHeight = 40, 12

const keys = "tab pane  s start  x stop  a attach  e explain  y/n/m answer  p plan  q quit"

// View draws the screen: lines of exactly the terminal's width at most, none
// wraps, and none of what an agent wrote moves the cursor.
func (m *model) View() string {
	if m.width == 0 {
		return ""
	}
	if m.width < minWidth || m.height < minHeight {
		return "bb: the terminal is too small\nq quits"
	}
	lines := []string{m.head()}
	rest := m.height - 3 // head, status, keys
	if m.focus == planned {
		lines = append(lines, m.list(planned, "plan", rest)...)
	} else {
		third := max(3, rest/4)
		lines = append(lines, m.list(bottles, m.columns(), rest-2*third)...)
		lines = append(lines, m.list(proposals, "asked", third)...)
		lines = append(lines, m.list(denials, "denied", third)...)
	}
	status := m.status
	if m.failed {
		status = "! " + status
	}
	if m.ask != nil {
		status = m.ask.text + "  y: yes, any other key: no"
	}
	lines = append(lines, status, keys)
	for i, l := range lines {
		lines[i] = ansi.Truncate(view.Escape(l), m.width, "~")
	}
	return strings.Join(lines, "\n")
}

// cut makes one line of at most so many cells of a text of anybody's.
func cut(text string, width int) string {
	return ansi.Truncate(oneLine(text), width, "~")
}

// oneLine escapes what could move the cursor or turn the text around.
func oneLine(text string) string { return view.Escape(strings.TrimSpace(text)) }

// list draws a pane of a height: its title, and the lines around the selected.
func (m *model) list(p pane, title string, height int) []string {
	mark := "-- "
	if m.focus == p {
		mark = "== "
	}
	out := []string{mark + title}
	rows := m.rows(p)
	room := height - 1
	from := max(0, min(m.at[p]-room+1, len(rows)-room))
	for i := from; i < len(rows) && i < from+room; i++ {
		cursor := "  "
		if i == m.at[p] && m.focus == p {
			cursor = "> "
		}
		out = append(out, cursor+rows[i])
	}
	if len(rows) == 0 {
		out = append(out, "  "+nothing[p])
	}
	for len(out) < height {
		out = append(out, "")
	}
	return out
}

var nothing = [panes]string{"no bottles: bb init writes manifests, s starts them", "nothing", "nothing", "no changes"}

func (m *model) columns() string {
	return fmt.Sprintf("%-18s %-7s %-10s %5s %6s %6s %8s %8s", "bottle", "backend", "state", "age", "reqs", "denied", "bytes", "memory")
}

func (m *model) rows(p pane) []string {
	var out []string
	switch p {
	case bottles:
		for _, b := range m.snap.Bottles {
			state := b.State
			if b.State == "running" && b.Sidecar != "configured" {
				state = "no way out"
			}
			out = append(out, fmt.Sprintf("%-17s %-7s %-10s %5s %6d %6d %8s %8s",
				cut(b.ID, 17), b.Backend, state, m.age(b.Created), b.Requests, b.Denials, size(b.Bytes), size(b.Memory)))
		}
	case proposals:
		for _, p := range m.snap.Proposals {
			labels := ""
			if len(p.Labels) > 0 {
				labels = " [" + strings.Join(p.Labels, ", ") + "]"
			}
			out = append(out, fmt.Sprintf("%-8s %-14s %s%s: %s", p.ID, cut(p.Bottle, 14), oneLine(p.What), labels, oneLine(p.Why)))
		}
	case denials:
		for _, d := range m.snap.Denials {
			out = append(out, fmt.Sprintf("%s %-14s %s %s", d.At.Format(time.TimeOnly), cut(d.Bottle, 14), oneLine(d.URL), oneLine(d.Text)))
		}
	case planned:
		for l := range strings.Lines(m.snap.Plan) {
			out = append(out, view.Escape(strings.TrimRight(l, "\n")))
		}
	}
	return out
}

func (m *model) age(since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	switch d := m.now().Sub(since); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func size(n int64) string {
	if n == 0 {
		return "-"
	}
	return view.Size(n)
}
