package dash

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// Options configure Run.
type Options struct {
	Source Source
	In     io.Reader
	Out    io.Writer
	// Logs is the directory for what commands say.
	Logs string
	// Plain draws without attributes of characters.
	Plain bool

	now func() time.Time // a test's
}

// latest is how many denials one frame of text has.
const latest = 20

// Run shows the screen until somebody closes it, and returns what it said that
// went wrong. It catches no panic: that the terminal is restored then is for
// the process that Guard is called in.
func Run(ctx context.Context, o Options) (said []string, err error) {
	m := newModel(o.Source, time.Now)
	m.logs, m.plain = o.Logs, o.Plain
	if o.now != nil {
		m.now = o.now
	}
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithAltScreen(), tea.WithoutCatchPanics())
	_, err = p.Run()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return m.said, err
}

// Once draws one frame as text, as high as it takes; broken says that manifests
// are. A width of 0 cuts nothing.
func Once(ctx context.Context, src Source, width int) (text string, broken bool, err error) {
	m := newModel(src, time.Now)
	if m.plain, m.width = true, max(width, minWidth); width == 0 {
		m.width = 1 << 16
	}
	snap, err := src.Look(ctx)
	if err != nil {
		return "", false, err
	}
	m.take(lookedMsg{snap: snap})
	m.focus = planned // nothing is marked
	lines := []line{{text: m.head()}}
	for _, p := range []pane{bottles, proposals, denials} {
		height := 1 + len(m.columns(p)) + max(1, len(m.ids(p)))
		if p == denials {
			height = min(height, 1+latest)
		}
		lines = append(lines, m.list(p, height)...)
	}
	if snap.Summary != "" {
		lines = append(lines, line{text: snap.Summary})
	}
	for _, p := range snap.Problems {
		lines = append(lines, line{text: "! " + oneLine(p)})
	}
	var b strings.Builder
	for l := range strings.Lines(m.draw(lines)) {
		fmt.Fprintln(&b, strings.TrimRight(l, " \n"))
	}
	return b.String(), snap.Broken, nil
}
