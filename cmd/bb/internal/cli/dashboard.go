package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/bot-bottle/bb/cmd/bb/internal/dash"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
)

type dashboardCmd struct {
	Once   bool `help:"Print one frame as text; exits 1 when manifests are broken."`
	All    bool `short:"a" help:"Also bottles of other scopes of this user."`
	Screen bool `hidden:"" help:"Be the process that draws."`
}

// Run shows all bottles on one screen.
func (c *dashboardCmd) Run(ctx context.Context, a *app) error {
	src, err := newDashSource(ctx, a, c.All)
	if err != nil {
		return err
	}
	defer src.close()
	switch {
	case c.Once:
		return c.once(ctx, a, src)
	case !isTerminal(a.stdin) || !isTerminal(a.stdout):
		return diag.Errorf("bb dashboard needs a terminal").WithHint("bb dashboard --once prints one frame")
	case c.Screen:
		return c.screen(ctx, a, src)
	}
	args := []string{"dashboard", "--screen"}
	if c.All {
		args = append(args, "--all")
	}
	code, err := dash.Guard(src.Command(dash.Call{Args: args}), a.stdin.(*os.File), a.stdout.(*os.File), a.stderr,
		filepath.Join(src.logs, "dashboard-crash.log"))
	if err == nil && code != 0 {
		err = exitError{code: code}
	}
	return err
}

func (c *dashboardCmd) once(ctx context.Context, a *app, src *dashSource) error {
	src.patient = true
	columns := 0 // all that there is
	if w := width(a.stdout); w != nil {
		columns = w()
	}
	text, broken, err := dash.Once(ctx, src, columns)
	if err != nil {
		return contextErr(ctx, err)
	}
	if _, err := fmt.Fprint(a.stdout, text); err != nil {
		return err
	}
	if broken {
		return exitError{code: exitFailed}
	}
	return nil
}

// screen draws. SIGINT is left to Bubble Tea: it is for the command that has the
// terminal while one has it.
func (c *dashboardCmd) screen(ctx context.Context, a *app, src *dashSource) error {
	if err := dash.Guarded(); err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	defer release()
	said, err := dash.Run(ctx, dash.Options{
		Source: src, In: a.stdin, Out: a.stdout, Logs: src.logs, Plain: !a.style(a.stdout).Color,
	})
	for _, text := range said { // the screen took them with it
		fmt.Fprintf(a.stderr, "bb: %s\n", view.Escape(text))
	}
	return contextErr(ctx, err)
}
