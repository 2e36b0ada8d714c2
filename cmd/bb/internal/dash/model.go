package dash

import (
	"context"
	"slices"
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
	logs          string // the directory for what commands say
	plain         bool   // no attributes
	width, height int

	snap    Snapshot
	looked  bool
	look    int // counts looks: of an older one nothing is taken
	lookErr string

	focus  pane
	at     [panes]int
	chosen [panes]string // what at stood on, by its ID
	newest bool          // of the denials is chosen, whichever that is

	// What has the keys, the first that is there; without any the pane has them.
	input *input
	ask   *question
	sheet *sheet

	// note is the last word of a key or of a command; it stays until the next key.
	note    string
	failed  bool
	busy    string // the command under way
	leaving bool   // the screen closes when it ended
	said    []string
}

type (
	lookedMsg struct {
		look int
		snap Snapshot
		err  error
	}
	tickMsg struct{ look int }
)

func newModel(src Source, now func() time.Time) *model {
	return &model{src: src, now: now, newest: true}
}

func (m *model) Init() tea.Cmd { return m.lookNow() }

// lookNow looks, and has what an older look brings or wanted next forgotten.
func (m *model) lookNow() tea.Cmd {
	m.look++
	this := m.look
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		defer cancel()
		snap, err := m.src.Look(ctx)
		return lookedMsg{this, snap, err}
	}
}

// Update takes one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case lookedMsg:
		if msg.look != m.look {
			break
		}
		m.take(msg)
		return m, tea.Tick(lookEvery, func(time.Time) tea.Msg { return tickMsg{msg.look} })
	case tickMsg:
		if msg.look == m.look {
			return m, m.lookNow()
		}
	case doneMsg:
		return m, m.done(msg)
	case tea.KeyMsg:
		return m, m.keys(msg)
	}
	m.read()
	return m, nil
}

// take shows a snapshot. What was chosen stays chosen wherever it is now.
func (m *model) take(msg lookedMsg) {
	if msg.err != nil {
		m.lookErr = oneLine(msg.err.Error())
		m.remember(m.lookErr)
		return
	}
	m.snap, m.looked, m.lookErr = msg.snap, true, ""
	for _, text := range msg.snap.Problems {
		m.remember(oneLine(text))
	}
	for p := range panes {
		m.find(p)
	}
	if m.sheet != nil {
		m.sheet.compare(msg.snap.Proposals)
	}
}

// remember keeps what went wrong for the end, once.
func (m *model) remember(text string) {
	if !slices.Contains(m.said, text) {
		m.said = append(m.said, text)
		m.said = m.said[max(0, len(m.said)-50):]
	}
}

// say is a word about a key or a command, fail one that is told again at the end.
func (m *model) say(text string) { m.note, m.failed = text, false }

func (m *model) fail(text string) {
	m.note, m.failed = text, true
	m.remember(text)
}

// problems are what is wrong now.
func (m *model) problems() []string {
	if m.lookErr != "" {
		return append([]string{m.lookErr}, m.snap.Problems...)
	}
	return m.snap.Problems
}
