package dash

import (
	"fmt"
	"strings"
)

var titles = [panes]string{"bottles", "asked", "denied", "plan"}

var nothing = [panes]string{"no bottles: bb init writes manifests, bb apply brings them up", "nothing", "nothing", "no changes"}

// heights are the lines of each pane, its title among them. The plan has the
// screen for itself; the others share it, each as much as it has use for.
func (m *model) heights() (out [panes]int) {
	rest := m.height - 1 - m.below()
	if m.focus == planned {
		out[planned] = rest
		return out
	}
	want := func(p pane) int { return max(2, 1+len(m.ids(p))) }
	third := max(2, rest/4)
	out[proposals], out[denials] = min(third, want(proposals)), min(third, want(denials))
	out[bottles] = min(rest-out[proposals]-out[denials], 1+want(bottles)) // a line of columns
	left := rest - out[bottles] - out[proposals] - out[denials]
	for _, p := range []pane{proposals, denials} {
		more := min(left, max(0, want(p)-out[p]))
		out[p], left = out[p]+more, left-more
	}
	out[denials] += left
	return out
}

// list draws a pane of a height: its title, and the lines around the chosen one.
func (m *model) list(p pane, height int) []line {
	rows := m.rows(p)
	head := m.columns(p)
	room := height - 1 - len(head)
	from := max(0, min(m.at[p]-room+1, len(rows)-room))
	if p == planned { // a text: it is scrolled
		from = max(0, min(m.at[p], len(rows)-room))
	}
	end := min(len(rows), from+room)
	title := "-- " + titles[p]
	look := usual
	if m.focus == p {
		title, look = "== "+titles[p], titled
	}
	if hidden := len(rows) - (end - from); hidden > 0 {
		title += fmt.Sprintf("  %d-%d of %d, %d more", from+1, end, len(rows), hidden)
	}
	out := []line{{title, look}}
	for _, h := range head {
		out = append(out, line{text: "  " + h})
	}
	for i := from; i < end; i++ {
		if i == m.at[p] && m.focus == p && p != planned {
			out = append(out, line{"> " + rows[i], marked})
		} else {
			out = append(out, line{text: "  " + rows[i]})
		}
	}
	switch {
	case len(rows) == 0 && !m.looked:
		out = append(out, line{text: "  looking ..."})
	case len(rows) == 0 && p == planned && m.snap.Plan == "":
		out = append(out, line{text: "  nothing could be planned: ! says why"})
	case len(rows) == 0:
		out = append(out, line{text: "  " + nothing[p]})
	}
	for len(out) < height {
		out = append(out, line{})
	}
	return out[:height]
}

// columns are the names of a pane's columns, none or one line.
func (m *model) columns(p pane) []string {
	if p != bottles || len(m.snap.Bottles) == 0 {
		return nil
	}
	return []string{m.bottleTable().head()}
}

func (m *model) rows(p pane) []string {
	var out []string
	switch p {
	case bottles:
		t := m.bottleTable()
		for _, b := range m.snap.Bottles {
			out = append(out, t.row(b))
		}
	case proposals:
		width := m.names(func(yield func(string)) {
			for _, x := range m.snap.Proposals {
				yield(x.Bottle)
			}
		})
		for _, x := range m.snap.Proposals {
			labels := ""
			if len(x.Labels) > 0 { // first: they are bb's, the rest is the agent's
				labels = "[" + strings.Join(x.Labels, ", ") + "] "
			}
			text := fit(x.Short, 8, false) + " " + fit(x.Bottle, width, false) + " " + labels + oneLine(x.What)
			if x.Why != "" {
				text += ": " + oneLine(x.Why)
			}
			out = append(out, text)
		}
	case denials:
		width := m.names(func(yield func(string)) {
			for _, d := range m.snap.Denials {
				yield(d.Bottle)
			}
		})
		for _, d := range m.snap.Denials {
			out = append(out, d.At.Format("15:04:05")+" "+fit(d.Bottle, width, false)+" "+oneLine(d.Method)+" "+oneLine(d.URL)+" "+oneLine(d.Text))
		}
	case planned:
		for l := range strings.Lines(m.snap.Plan) {
			out = append(out, cells(strings.TrimRight(l, "\n")))
		}
	}
	return out
}

// names is the width that a column of names has use for: a quarter of the screen
// at most.
func (m *model) names(each func(func(string))) int {
	width := 6
	each(func(name string) { width = max(width, widthOf(name)) })
	return min(width, max(14, m.width/4))
}
