package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

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
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if word := strings.ToLower(strings.TrimSpace(answer)); err != nil || word != "y" && word != "yes" {
		return exitError{exitFailed, "nothing was done"}
	}
	return nil
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
			fmt.Fprintln(a.stderr, "bb: stopping after what is under way (once more to stop at once)")
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
