package dash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// job is one command of bb and how it is run: on the terminal, or beside the
// screen.
type job struct {
	what     string // for people: "stop coder"
	call     Call
	terminal bool
	pauses   bool // its output stays until enter
	shows    bool // its output is the answer, whatever its exit code
}

// result is what a job left.
type result struct {
	out, err string
	failed   error
	code     string // of an agent's program that it ran, "" when there was none
}

type doneMsg struct {
	job job
	result
}

// begin runs a job. One at a time: the keys see to that.
func (m *model) begin(j job) tea.Cmd {
	m.busy = j.what
	m.say("")
	if j.terminal {
		return m.onTerminal(j)
	}
	logs := m.logs
	cmd := m.src.Command(j.call)
	return func() tea.Msg { return doneMsg{j, beside(cmd, logs, j.shows)} }
}

// done says what became of a job, and looks at what it changed.
func (m *model) done(msg doneMsg) tea.Cmd {
	m.busy = ""
	m.told(msg)
	m.read()
	if m.leaving {
		return tea.Quit
	}
	return m.lookNow()
}

func (m *model) told(msg doneMsg) {
	out, said := strings.TrimSpace(msg.out), lastLines(msg.err, 3)
	switch {
	case msg.job.shows && out != "" && m.sheet == nil:
		m.open(&sheet{title: oneLine(msg.job.what), text: msg.out})
	case msg.code != "":
		m.say(msg.job.what + ": its program ended with " + oneLine(msg.code))
	case msg.failed != nil && (said == "" || byHand(msg.failed)):
		m.fail(msg.job.what + ": " + exitWord(msg.failed))
	case msg.failed != nil:
		m.fail(msg.job.what + ": " + said)
	case out != "":
		m.say(msg.job.what + ": " + lastLines(out, 1))
	default:
		m.say(msg.job.what + ": done")
	}
}

// byHand reports whether a signal ended a command: what it said last, a question
// perhaps, is not why.
func byHand(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && !exit.Exited()
}

// exitWord says how a command ended that said nothing.
func exitWord(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return fmt.Sprintf("it ended with %d and said nothing", exit.ExitCode())
	}
	return oneLine(err.Error())
}

// lastLines are the last lines of a text that say anything, as one.
func lastLines(text string, n int) string {
	var lines []string
	for l := range strings.Lines(text) {
		if l = oneLine(l); l != "" {
			lines = append(lines, strings.TrimPrefix(l, "bb: "))
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

// codeOf reads the file that a command leaves when an agent's program ended.
func codeOf(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
