package cli

import (
	"context"
	"io"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type runCmd struct {
	Agent  string `arg:"" help:"The agent to run."`
	Prompt string `short:"p" required:"" help:"What it shall do; - reads it from standard input."`
	Resume bool   `help:"Go on with the last conversation."`
}

// Run brings the agent up, or up to date, and gives it one prompt. It never
// replaces or removes: that needs bb apply.
func (c *runCmd) Run(ctx context.Context, a *app) error {
	prompt, err := c.text(a)
	if err != nil {
		return err
	}
	p, err := a.planning([]string{c.Agent}, state.Open)
	if err != nil {
		return err
	}
	if len(p.specs) == 0 {
		return diag.Errorf("agent %q declares no replicas", c.Agent).WithHint("set replicas: 1 in its manifest")
	}
	s := p.specs[0]
	if len(s.Program.Headless) == 0 {
		return diag.Errorf("provider %s has no headless mode", s.Fixed.Provider)
	}
	if c.Resume && len(s.Program.HeadlessResume) == 0 {
		return diag.Errorf("provider %s cannot go on with a conversation without a terminal", s.Fixed.Provider).
			WithHint("bb attach --resume %s does it on one", s.ID)
	}
	p.app.warn(p.warnings)
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := refuse(p.plan, "run"); err != nil {
		return err
	}
	p.app.warn(p.plan.Notes)
	if len(p.plan.Nodes) > 0 {
		if err := p.execute(ctx, executeOptions{operation: "run", quiet: true}); err != nil {
			return err
		}
	}
	return headless(ctx, p, s, prompt, c.Resume)
}

// text is the prompt, before anything is brought up for it.
func (c *runCmd) text(a *app) (string, error) {
	prompt := c.Prompt
	if prompt == "-" {
		b, err := io.ReadAll(a.stdin)
		if err != nil {
			return "", err
		}
		prompt = string(b)
	}
	if strings.TrimSpace(prompt) == "" {
		return "", diag.Errorf("the prompt is empty").WithHint("say what to do: bb run %s -p 'what to do'", c.Agent)
	}
	return prompt, nil
}

// refuse stops at what an operation may not do on its own.
func refuse(p *plan.Plan, operation string) error {
	for _, c := range p.Changes {
		switch {
		case c.Kept: // it is left alone
		case c.Action == plan.Replace, c.Action == plan.Remove:
			return diag.Errorf("%s needs more than an update (%s: %s), which %s never does", c.ID, c.Action, view.Why(c), operation).
				WithHint("look with bb plan %s, then bb apply %s", c.ID.Agent, c.ID.Agent)
		case c.Action == plan.Blocked:
			return diag.Errorf("%s is blocked: %s", c.ID, c.Note)
		}
	}
	return nil
}

// headless runs the provider's print mode. The prompt goes in by standard
// input: command lines show up in engine events.
func headless(ctx context.Context, p *planning, s *spec.Spec, prompt string, resume bool) error {
	a := p.app
	ctx, release := a.untilSignal(ctx)
	defer release()
	d, argv := p.drivers[s.Backend], s.Program.Headless
	if resume && a.goesOn(ctx, d, s, s.ID, attachOptions{Resume: true}) {
		argv = s.Program.HeadlessResume
	}
	code, err := d.Exec(ctx, s.ID, backends.ExecRequest{
		Argv: argv, Stdin: strings.NewReader(prompt), Stdout: a.stdout, Stderr: a.stderr,
	})
	if err != nil {
		return contextErr(ctx, err)
	}
	return exitWith(code)
}
