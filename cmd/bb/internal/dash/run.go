package dash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// Options configure Run.
type Options struct {
	Source Source
	In     io.Reader
	Out    io.Writer
	// Crash is the file that a crash is written to.
	Crash string

	now func() time.Time // a test's
}

// Run shows the screen until somebody closes it, and returns what it said that
// went wrong. A crash restores the terminal first.
func Run(ctx context.Context, o Options) (said []string, err error) {
	m := &model{src: o.Source, now: time.Now}
	if o.now != nil {
		m.now = o.now
	}
	g := &guarded{model: m}
	p := tea.NewProgram(g, tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithAltScreen(), tea.WithoutCatchPanics())
	_, err = p.Run()
	if crash := g.crashed(); crash != nil {
		return m.said, crash.save(o.Crash)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return m.said, err
}

// Once draws one frame as text, of a width and as high as it takes.
func Once(ctx context.Context, src Source, width int) (string, error) {
	m := &model{src: src, now: time.Now, width: max(width, minWidth)}
	snap, err := src.Look(ctx)
	if err != nil {
		return "", err
	}
	m.takeLook(lookedMsg{snap: snap})
	m.at[denials] = max(0, len(snap.Denials)-1)
	longest := max(len(snap.Bottles), 2*len(snap.Proposals), 2*min(10, len(snap.Denials)))
	m.height = minHeight + 2*longest
	var out strings.Builder
	for l := range strings.Lines(m.View()) {
		if l = strings.TrimRight(l, " \n"); l != "" && l != keys {
			out.WriteString(l + "\n")
		}
	}
	return out.String(), nil
}

// guarded is a model whose panics end the program in order: the terminal is
// restored before anything is said.
type guarded struct {
	*model
	mu    sync.Mutex
	crash *crash
}

type crash struct {
	why   string
	stack []byte
}

func (g *guarded) crashed() *crash {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.crash
}

func (g *guarded) caught(cmd *tea.Cmd) {
	if r := recover(); r != nil {
		g.mu.Lock()
		g.crash = &crash{fmt.Sprint(r), debug.Stack()}
		g.mu.Unlock()
		if cmd != nil {
			*cmd = tea.Quit
		}
	}
}

func (g *guarded) Init() tea.Cmd { return g.guard(g.model.Init()) }

func (g *guarded) Update(msg tea.Msg) (m tea.Model, cmd tea.Cmd) {
	m = g
	if g.crashed() != nil {
		return g, tea.Quit
	}
	defer g.caught(&cmd)
	_, cmd = g.model.Update(msg)
	return g, g.guard(cmd)
}

func (g *guarded) View() (text string) {
	defer g.caught(nil) // the next message ends it
	return g.model.View()
}

// guard catches what a command does on a goroutine of its own.
func (g *guarded) guard(cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() (msg tea.Msg) {
		defer func() {
			if g.crashed() != nil {
				msg = tea.QuitMsg{}
			}
		}()
		defer g.caught(nil)
		return cmd()
	}
}

// save writes the crash down and returns what a person is told.
func (c *crash) save(path string) error {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		text := fmt.Sprintf("%s\n%s\n\n%s", time.Now().UTC().Format(time.RFC3339), c.why, c.stack)
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	told := fmt.Errorf("the dashboard crashed: %s", oneLine(c.why))
	if err != nil {
		return errors.Join(told, err)
	}
	return fmt.Errorf("%w; %s has the details", told, path)
}
