package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
)

// confirm asks, unless -y answered already.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	return a.ask(question, "add -y to go ahead without asking")
}

// ask asks on the terminal. Only "yes" and "y" are a yes; hint is the next
// step where there is no terminal.
func (a *app) ask(question, hint string) error {
	if !isTerminal(a.stdin) {
		return diag.Errorf("there is no terminal to ask on").WithHint("%s", hint)
	}
	answer, err := a.line(question + " [y/N] ")
	if word := strings.ToLower(answer); err != nil || word != "y" && word != "yes" {
		return exitError{exitFailed, "nothing was done"}
	}
	return nil
}

// line asks for one line. It reads no further: the next question, or a program
// that gets the terminal, has the rest.
func (a *app) line(question string) (string, error) {
	fmt.Fprint(a.stderr, view.Escape(question))
	var answer []byte
	for b := make([]byte, 1); ; {
		n, err := a.stdin.Read(b)
		if n == 1 && b[0] == '\n' {
			return strings.TrimSpace(string(answer)), nil
		}
		answer = append(answer, b[:n]...)
		if err != nil {
			return "", exitError{exitFailed, "nothing was done"}
		}
	}
}

// untilSignal ends with the first signal: for commands whose work is somebody
// else's and ends with them. A reader of stdout that went away is an error of
// the write then, not the end of bb, so that what runs in a bottle is ended too.
func (a *app) untilSignal(ctx context.Context) (context.Context, func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	return ctx, func() {
		stop()
		signal.Stop(broken)
	}
}

// interrupts: the first signal closes stop, so that running operations finish
// and none begins; the second cancels the context.
func (a *app) interrupts(ctx context.Context) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case <-signals:
			fmt.Fprintln(a.screen, "bb: stopping after what is under way (once more to stop at once)")
			close(stop)
		case <-ctx.Done():
			return
		}
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, stop, func() {
		signal.Stop(signals)
		cancel()
	}
}
