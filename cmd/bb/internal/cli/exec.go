package cli

import (
	"context"

	"github.com/bot-bottle/bb/backends"
)

type execCmd struct {
	Terminal bool     `short:"t" help:"Run it on this terminal."`
	Agent    string   `arg:"" help:"The bottle, as bb ps names it."`
	Argv     []string `arg:"" passthrough:"" help:"The command, after --."`
}

// Run runs a command in a bottle and exits with its code.
func (c *execCmd) Run(ctx context.Context, a *app) error {
	argv := behindDashes(c.Argv)
	if len(argv) == 0 {
		return exitError{exitUsage, "there is no command to run (bb exec AGENT -- COMMAND)"}
	}
	if c.Terminal {
		if err := a.needsTerminal("exec -t", "leave -t out"); err != nil {
			return err
		}
	}
	p, o, err := a.instance(ctx, c.Agent)
	if err != nil {
		return err
	}
	if c.Terminal {
		code, err := a.onTerminal(ctx, p.drivers[o.Backend], o.ID, backends.ExecRequest{Argv: argv})
		if err != nil {
			return err
		}
		return exitWith(code)
	}
	ctx, release := a.untilSignal(ctx)
	defer release()
	code, err := p.drivers[o.Backend].Exec(ctx, o.ID, backends.ExecRequest{
		Argv: argv, Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr,
	})
	if err != nil {
		return contextErr(ctx, err)
	}
	return exitWith(code)
}

// behindDashes is a command without the "--" that kong passes through.
func behindDashes(argv []string) []string {
	if len(argv) > 0 && argv[0] == "--" {
		return argv[1:]
	}
	return argv
}

// exitWith passes a bottle's exit code through.
func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return programEnd{exitError{code: code}}
}
