package dash

import (
	"slices"
	"strings"
)

// ids are what tells the entries of a pane from each other.
func (m *model) ids(p pane) []string {
	var out []string
	switch p {
	case bottles:
		for _, b := range m.snap.Bottles {
			out = append(out, b.ID)
		}
	case proposals:
		for _, x := range m.snap.Proposals {
			out = append(out, x.ID)
		}
	case denials:
		for _, d := range m.snap.Denials {
			out = append(out, d.ID)
		}
	case planned:
		out = make([]string, strings.Count(m.snap.Plan, "\n"))
	}
	return out
}

// find puts the mark of a pane on what was chosen, or near to where that was.
func (m *model) find(p pane) {
	ids := m.ids(p)
	if p != planned {
		if i := slices.Index(ids, m.chosen[p]); i >= 0 && m.chosen[p] != "" {
			m.at[p] = i
		}
	}
	if p == denials && m.newest {
		m.at[p] = len(ids) - 1
	}
	m.move(p, m.at[p])
}

// move puts the mark of a pane on an entry.
func (m *model) move(p pane, to int) {
	ids := m.ids(p)
	m.at[p] = max(0, min(to, len(ids)-1))
	m.chosen[p] = ""
	if len(ids) > 0 {
		m.chosen[p] = ids[m.at[p]]
	}
	if p == denials {
		m.newest = m.at[p] >= len(ids)-1
	}
}

// chosenOf is the marked entry of a list.
func chosenOf[T any](list []T, at int) (item T, ok bool) {
	if at < 0 || at >= len(list) {
		return item, false
	}
	return list[at], true
}
