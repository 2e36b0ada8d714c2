package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// needsTerminal refuses to go on without one.
func (a *app) needsTerminal(what, hint string) error {
	if isTerminal(a.stdin) && isTerminal(a.stdout) {
		return nil
	}
	return diag.Errorf("%s needs a terminal on standard input and output", what).WithHint("%s", hint)
}

const (
	// calm turns off what programs turn on and a killed one leaves: reports of
	// mouse and focus, bracketed paste, a hidden cursor, colours.
	calm = "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[?25h\x1b[0m"
	// mainScreen leaves the alternate screen.
	mainScreen = "\x1b[?47l\r\n"
	// answers is how long a terminal may take to answer what it was asked last.
	answers = 200 * time.Millisecond
)

// onTerminal runs r on the terminal of this process, which is the program's
// meanwhile: keys go to it as they are, and what it writes reaches the terminal
// as it is. However it ends, the terminal is as it was.
func (a *app) onTerminal(ctx context.Context, d backends.Driver, id spec.ID, r backends.ExecRequest) (code int, err error) {
	if err := a.needsTerminal("this", "run it on one"); err != nil {
		return 0, err
	}
	in, out := int(a.stdin.(*os.File).Fd()), int(a.stdout.(*os.File).Fd())
	ctx, hangup := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer hangup()
	sizes, release := watchSize(out)
	defer release()
	cols, rows, err := term.GetSize(out)
	if err != nil {
		return 0, fmt.Errorf("size of the terminal: %w", err)
	}
	keys, err := newKeys(in, hangup)
	if err != nil {
		return 0, err
	}
	defer keys.close()
	before, err := term.MakeRaw(in)
	if err != nil {
		return 0, fmt.Errorf("terminal: %w", err)
	}
	defer func() {
		// What the terminal answers to a program's last question would be
		// typed into the user's shell.
		_, _ = io.WriteString(a.stdout, calm)
		if err != nil {
			_, _ = io.WriteString(a.stdout, mainScreen)
		}
		keys.discard(answers)
		_ = term.Restore(in, before)
	}()
	r.Stdin, r.Stdout, r.Stderr = keys, a.stdout, a.stdout
	r.Terminal = &backends.Terminal{
		Type: os.Getenv("TERM"), Size: backends.Size{Rows: uint16(rows), Cols: uint16(cols)}, Resize: sizes,
	}
	code, err = d.Exec(ctx, id, r)
	if err != nil {
		return 0, contextErr(ctx, err)
	}
	return code, nil
}

// watchSize sends the terminal's size whenever it changes.
func watchSize(fd int) (<-chan backends.Size, func()) {
	changed, sizes, done := make(chan os.Signal, 1), make(chan backends.Size), make(chan struct{})
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for {
			select {
			case <-changed:
			case <-done:
				return
			}
			cols, rows, err := term.GetSize(fd)
			if err != nil {
				continue
			}
			select {
			case sizes <- backends.Size{Rows: uint16(rows), Cols: uint16(cols)}:
			case <-done:
				return
			}
		}
	}()
	return sizes, func() {
		signal.Stop(changed)
		close(done)
	}
}
