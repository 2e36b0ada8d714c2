package dash

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// column is one of the bottles' table.
type column struct {
	title string
	width int
	right bool
	text  func(Bottle) string
	// keep says how long it stays while the screen gets narrower.
	keep int
}

// table is the bottles' columns, as many as there is room for.
type table []column

const shortestName = 16

func widthOf(text string) int { return ansi.StringWidth(oneLine(text)) }

func (m *model) bottleTable() table {
	number := func(n int) string {
		if n >= 1_000_000 {
			return fmt.Sprintf("%dk", n/1000)
		}
		return strconv.Itoa(n)
	}
	name := column{title: "bottle", keep: 99, width: 6, text: func(b Bottle) string { return b.Name }}
	policy := column{title: "policy", keep: 1, width: 6, text: func(b Bottle) string { return b.Policy }}
	from := column{title: "from", keep: 50}
	from.text = func(b Bottle) string { // its end says most
		where := oneLine(b.Where)
		if over := ansi.StringWidth(where) - from.width; over > 0 {
			where = ansi.TruncateLeft(where, over+1, "~")
		}
		return where
	}
	for _, b := range m.snap.Bottles {
		name.width = max(name.width, widthOf(b.Name))
		policy.width = min(20, max(policy.width, widthOf(b.Policy)))
		if b.Where != "" {
			from.width = min(max(20, m.width/3), max(4, from.width, widthOf(b.Where)))
		}
	}
	t := table{
		name, policy,
		{"backend", 7, false, func(b Bottle) string { return b.Backend }, 5},
		{"state", 11, false, stateOf, 98},
		{"age", 4, true, func(b Bottle) string { return m.age(b.Created) }, 6},
		{"reqs", 7, true, func(b Bottle) string { return number(b.Requests) }, 7},
		{"denied", 7, true, func(b Bottle) string { return number(b.Denials) }, 8},
		{"bytes", 8, true, func(b Bottle) string { return size(b.Bytes) }, 3},
		{"memory", 8, true, func(b Bottle) string { return size(b.Memory) }, 4},
	}
	if from.width > 0 {
		t = append(t, from)
	}
	return t.within(m.width - 2)
}

// within leaves columns out until names have room, and gives names what is left.
func (t table) within(width int) table {
	least := min(shortestName, t[0].width)
	for len(t) > 2 && t.others()+least > width {
		out := slices.IndexFunc(t, func(c column) bool {
			return !slices.ContainsFunc(t, func(x column) bool { return x.keep < c.keep })
		})
		t = slices.Delete(slices.Clone(t), out, out+1)
	}
	t[0].width = min(t[0].width, width-t.others())
	return t
}

// others is the width of all columns but the first, with the blanks between.
func (t table) others() (n int) {
	for _, c := range t[1:] {
		n += 1 + c.width
	}
	return n
}

func (t table) head() string {
	out := make([]string, len(t))
	for i, c := range t {
		out[i] = fit(c.title, c.width, c.right)
	}
	return strings.TrimRight(strings.Join(out, " "), " ")
}

func (t table) row(b Bottle) string {
	out := make([]string, len(t))
	for i, c := range t {
		out[i] = fit(c.text(b), c.width, c.right)
	}
	return strings.Join(out, " ")
}

func stateOf(b Bottle) string {
	if b.State == Running && b.Sidecar != "configured" {
		return "no way out"
	}
	return b.State
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

// size is at most eight cells: "1023 KiB", "5.0 MiB".
func size(n int64) string {
	if n <= 0 {
		return "-"
	}
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1023.5 && unit < 3 {
		f, unit = f/1024, unit+1
	}
	digits := 1
	if f >= 99.95 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %ciB", digits, f, "KMGT"[unit])
}
