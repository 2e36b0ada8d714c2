package dash

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	_ "github.com/bot-bottle/bb/cmd/bb/internal/dash/quiet" // see there
)

// lookEvery is the time between two snapshots, and lookTime what one may take.
const (
	lookEvery = 2 * time.Second
	lookTime  = 30 * time.Second
)

// pane is one list that keys move in.
type pane int

const (
	bottles pane = iota
	proposals
	denials
	planned
	panes
)

// model is the screen. Its methods change it only as Bubble Tea calls them.
type model struct {
	src           Source
	now           func() time.Time
	width, height int
	snap          Snapshot
	looked        bool
	focus         pane
	at            [panes]int
	// status is the last word: of a command, or why a look failed.
	status string
	failed bool
	busy   string // the command under way
	ask    *question
	said   []string // errors, told again when the screen is closed
}

// question waits for y; any other key is no.
type question struct {
	text string
	args []string
	tty  bool // the command gets the terminal
}

type (
	lookedMsg struct {
		snap Snapshot
		err  error
	}
	tickMsg struct{}
	doneMsg struct {
		what string
		out  string
		err  error
	}
)

func (m *model) Init() tea.Cmd { return m.look() }

func (m *model) look() tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		defer cancel()
		snap, err := m.src.Look(ctx)
		return lookedMsg{snap, err}
	}
}

// Update takes one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case lookedMsg:
		m.takeLook(msg)
		return m, tea.Tick(lookEvery, func(time.Time) tea.Msg { return tickMsg{} })
	case tickMsg:
		return m, m.look()
	case doneMsg:
		m.busy = ""
		m.say(msg)
		return m, nil
	case tea.KeyMsg:
		return m.key(msg.String())
	}
	return m, nil
}

func (m *model) takeLook(msg lookedMsg) {
	if msg.err != nil {
		m.fail(oneLine(msg.err.Error()))
		return
	}
	if m.failed && m.busy == "" {
		m.status, m.failed = "", false
	}
	if m.focus == denials || len(m.snap.Denials) == 0 || m.at[denials] >= len(m.snap.Denials)-1 {
		m.at[denials] = len(msg.snap.Denials) // the newest stays in view
	}
	m.snap, m.looked = msg.snap, true
	for p := range panes {
		m.at[p] = max(0, min(m.at[p], m.length(p)-1))
	}
	if msg.snap.Mistake != "" {
		m.fail(oneLine(msg.snap.Mistake))
	}
}

func (m *model) say(msg doneMsg) {
	last := lastLine(msg.out)
	if msg.err != nil {
		if last == "" {
			last = msg.err.Error()
		}
		m.fail(msg.what + ": " + last)
		return
	}
	m.status, m.failed = strings.TrimSuffix(msg.what+": "+last, ": "), false
}

func (m *model) fail(text string) {
	m.status, m.failed = text, true
	if len(m.said) == 0 || m.said[len(m.said)-1] != text {
		m.said = append(m.said, text)
		m.said = m.said[max(0, len(m.said)-20):]
	}
}

func (m *model) length(p pane) int {
	switch p {
	case bottles:
		return len(m.snap.Bottles)
	case proposals:
		return len(m.snap.Proposals)
	case denials:
		return len(m.snap.Denials)
	case planned:
		return strings.Count(m.snap.Plan, "\n")
	}
	return 0
}

// key does what a key stands for.
func (m *model) key(k string) (tea.Model, tea.Cmd) {
	if m.ask != nil {
		q := m.ask
		m.ask = nil
		if k == "y" {
			return m, m.run(q.tty, q.args...)
		}
		m.status, m.failed = "not done", false
		return m, nil
	}
	switch k {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "tab":
		m.focus = (m.focus + 1) % panes
	case "shift+tab":
		m.focus = (m.focus + panes - 1) % panes
	case "p":
		m.focus = planned
	case "up", "k":
		m.at[m.focus] = max(0, m.at[m.focus]-1)
	case "down", "j":
		m.at[m.focus] = max(0, min(m.at[m.focus]+1, m.length(m.focus)-1))
	case "r":
		return m, m.look()
	default:
		return m.act(k)
	}
	return m, nil
}

// act does what a key stands for about what is selected.
func (m *model) act(k string) (tea.Model, tea.Cmd) {
	if m.busy != "" {
		return m, nil // one at a time: the status says which
	}
	b, hasBottle := selected(m.snap.Bottles, m.at[bottles])
	p, hasProposal := selected(m.snap.Proposals, m.at[proposals])
	d, hasDenial := selected(m.snap.Denials, m.at[denials])
	switch {
	case k == "s" && hasBottle:
		m.ask = &question{text: "apply " + b.Agent + "?", args: []string{"apply", "-y", b.Agent}}
	case k == "x" && hasBottle:
		m.ask = &question{text: "stop " + b.ID + "?", args: []string{"stop", b.ID}}
	case k == "m" && hasProposal:
		return m, m.run(true, "supervise", "modify", p.ID)
	case k == "a" && hasBottle:
		return m, m.run(true, "attach", b.ID)
	case k == "e" && hasDenial:
		return m, m.run(false, "explain", agentOf(d.Bottle), d.URL)
	case k == "y" && hasProposal:
		m.ask = &question{text: "approve " + p.ID + " of " + p.Bottle + "?", args: []string{"supervise", "approve", p.ID, "--digest", p.Digest}}
	case k == "n" && hasProposal:
		m.ask = &question{text: "reject " + p.ID + " of " + p.Bottle + "?", args: []string{"supervise", "reject", p.ID}}
	}
	return m, nil
}

func agentOf(id string) string {
	agent, _, _ := strings.Cut(id, "_")
	return agent
}

func selected[T any](list []T, at int) (item T, ok bool) {
	if at < 0 || at >= len(list) {
		return item, false
	}
	return list[at], true
}

// run has bb do it: on the terminal, or beside the screen.
func (m *model) run(tty bool, args ...string) tea.Cmd {
	what := strings.Join(args[:min(2, len(args))], " ")
	cmd := m.src.Command(args...)
	m.busy = what
	m.status, m.failed = what+" ...", false
	if tty {
		return tea.ExecProcess(cmd, func(err error) tea.Msg { return doneMsg{what, "", err} })
	}
	return func() tea.Msg {
		out, err := cmd.CombinedOutput()
		return doneMsg{what, string(out), err}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return oneLine(lines[len(lines)-1])
}

func (m *model) head() string {
	running := 0
	for _, b := range m.snap.Bottles {
		if b.State == "running" {
			running++
		}
	}
	if !m.looked {
		return "bb  looking ..."
	}
	text := fmt.Sprintf("bb  %d of %d run", running, len(m.snap.Bottles))
	if n := len(m.snap.Proposals); n > 0 {
		text += fmt.Sprintf("  %d asked", n)
	}
	if n := m.snap.Changes; n > 0 {
		text += fmt.Sprintf("  plan: %d to change", n)
	}
	return text + "  " + m.snap.At.Format(time.TimeOnly)
}
