package dash

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

const (
	// maxSaid bounds what is kept of what a command says.
	maxSaid = 256 << 10
	// lingers is how long a command's output may stay open after its end.
	lingers = time.Second
)

// beside runs a command that outlives the screen: in a session of its own, where
// no hangup finds it, and with files to write to, which never break. Both are
// removed when somebody is there to read them.
func beside(cmd *exec.Cmd, dir string, apart bool) (r result) {
	out, err := logFile(dir)
	if err != nil {
		return result{failed: err}
	}
	defer discard(out)
	said := out // in the order that it was said
	if apart {
		if said, err = logFile(dir); err != nil {
			return result{failed: err}
		}
		defer discard(said)
	}
	cmd.Stdout, cmd.Stderr = out, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r.failed = cmd.Run()
	r.out = content(out)
	if r.err = r.out; apart {
		r.err = content(said)
	}
	return r
}

func logFile(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.CreateTemp(dir, "dashboard-*.log")
}

func discard(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name()) // it was read
}

// content is the end of a file.
func content(f *os.File) string {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	b := make([]byte, min(size, maxSaid))
	n, _ := f.ReadAt(b, size-int64(len(b)))
	return string(b[:n])
}

// onTerminal gives the terminal to a command, and keeps what it says of errors.
func (m *model) onTerminal(j job) tea.Cmd {
	dir, err := os.MkdirTemp("", "bb-dashboard-")
	if err != nil {
		return func() tea.Msg { return doneMsg{j, result{failed: err}} }
	}
	j.call.Ended = filepath.Join(dir, "ended")
	c := &foreground{Cmd: m.src.Command(j.call), pauses: j.pauses}
	return tea.Exec(c, func(err error) tea.Msg {
		r := result{err: c.said.String(), failed: err, code: codeOf(j.call.Ended)}
		_ = os.RemoveAll(dir)
		return doneMsg{j, r}
	})
}

// foreground is a command on the terminal.
type foreground struct {
	*exec.Cmd
	pauses bool
	said   tail
	out    io.Writer
}

// SetStdin is called by Bubble Tea.
func (f *foreground) SetStdin(r io.Reader) { f.Stdin = r }

// SetStdout is called by Bubble Tea.
func (f *foreground) SetStdout(w io.Writer) { f.Stdout, f.out = w, w }

// SetStderr is called by Bubble Tea. What is said of errors goes to the terminal,
// which standard error need not be.
func (f *foreground) SetStderr(io.Writer) { f.Stderr = io.MultiWriter(f.out, &f.said) }

// Run runs it, and waits for enter where its output shall be read.
func (f *foreground) Run() error {
	f.WaitDelay = lingers
	err := f.Cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) { // what it left running holds its output
		err = nil
	}
	if !f.pauses {
		return err
	}
	fmt.Fprint(f.out, "\nenter goes back to the screen ")
	for b := make([]byte, 1); ; {
		if n, bad := f.Stdin.Read(b); bad != nil || n == 1 && b[0] == '\n' {
			return err
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	n, err := t.Buffer.Write(p)
	if t.Len() > maxSaid {
		t.Next(t.Len() - maxSaid)
	}
	return n, err
}
