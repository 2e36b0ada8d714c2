package dash

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

// crashFD is where the process of the screen writes when it crashes.
const crashFD = 3

// maxCrash bounds what is kept of that.
const maxCrash = 1 << 20

// restore leaves the alternate screen and turns off what a screen turned on:
// reports of mouse and focus, bracketed paste, a hidden cursor, attributes.
const restore = "\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[?25h\x1b[0m"

// Guard runs the screen, a command that calls Guarded, on the terminal. However
// that process ends, also when any of its goroutines panics, the terminal is as
// it was. A crash is written to a file, and is the error. What the process says
// besides goes to errOut when it has ended. The code is the process's own.
func Guard(cmd *exec.Cmd, in, out *os.File, errOut io.Writer, crashFile string) (code int, err error) {
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return 0, fmt.Errorf("terminal: %w", err)
	}
	crash, end, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer crash.Close()
	var said tail
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = in, out, &said, []*os.File{end}
	cmd.WaitDelay = lingers
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	err = cmd.Start()
	_ = end.Close()
	if err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	defer close(ended)
	go passSignals(cmd.Process, signals, ended)
	trace := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(crash, maxCrash))
		_, _ = io.Copy(io.Discard, crash)
		trace <- b
	}()
	if err = cmd.Wait(); errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	_ = crash.SetReadDeadline(time.Now().Add(lingers)) // a command that goes on may hold it open
	why := <-trace
	if err == nil && len(why) == 0 {
		_, err = said.WriteTo(errOut)
		return 0, err
	}
	var exit *exec.ExitError
	if len(why) == 0 && errors.As(err, &exit) && exit.Exited() {
		_, err = said.WriteTo(errOut)
		return exit.ExitCode(), err
	}
	_ = term.Restore(int(in.Fd()), before)
	_, _ = io.WriteString(out, restore)
	if len(why) == 0 {
		_, _ = said.WriteTo(errOut)
		return 0, fmt.Errorf("the dashboard ended: %w", err)
	}
	return 0, saveCrash(crashFile, reason(string(why), said.String()), why)
}

// passSignals has the process of the screen decide about signals. Those that the
// terminal sends go to both.
func passSignals(p *os.Process, signals <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				_ = p.Signal(s)
			}
		case <-ended:
			return
		}
	}
}

// Guarded has a crash of this process told to the one that called Guard.
func Guarded() error {
	f := os.NewFile(crashFD, "crash")
	if f == nil {
		return errors.New("there is nobody to tell of a crash")
	}
	defer f.Close()
	debug.SetTraceback("all")
	return debug.SetCrashOutput(f, debug.CrashOptions{})
}

// saveCrash writes a crash down and returns what a person is told.
func saveCrash(path, why string, trace []byte) error {
	told := fmt.Errorf("the dashboard crashed: %s", oneLine(why))
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, fmt.Appendf(nil, "%s\n%s\n\n%s", time.Now().UTC().Format(time.RFC3339), why, trace), 0o600)
	}
	if err != nil {
		return errors.Join(told, err)
	}
	return fmt.Errorf("%w; %s has the details", told, path)
}

// reason is what a crash was about, its first line. The runtime tells of its own
// errors on standard error alone.
func reason(texts ...string) string {
	for _, text := range texts {
		for line := range strings.Lines(text) {
			for _, word := range []string{"panic: ", "fatal error: "} {
				if why, ok := strings.CutPrefix(line, word); ok {
					why, _, _ = strings.Cut(why, " [recovered")
					return strings.TrimSpace(why)
				}
			}
		}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(texts[0]), "\n") // a signal, say
	return line
}
