package cli

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type runCmd struct {
	Agent  string `arg:"" help:"The agent to run."`
	Prompt string `short:"p" required:"" help:"What it shall do; - reads it from standard input."`
}

// Run brings the agent up, or up to date, and gives it one prompt. It never
// replaces or removes: that needs bb apply.
func (c *runCmd) Run(ctx context.Context, a *app) error {
	p, err := a.planning([]string{c.Agent}, state.Open)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(p.specs, func(s *spec.Spec) bool { return s.ID.Agent == c.Agent })
	if i < 0 {
		return diag.Errorf("agent %q declares no replicas", c.Agent).WithHint("set replicas: 1 in its manifest")
	}
	s := p.specs[i]
	if len(s.Program.Headless) == 0 {
		return diag.Errorf("provider %s has no headless mode", s.Fixed.Provider)
	}
	p.app.warn(p.warnings)
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := refuse(p.plan); err != nil {
		return err
	}
	if len(p.plan.Nodes) > 0 {
		if err := p.execute(ctx, executeOptions{operation: "run"}); err != nil {
			return err
		}
	}
	return c.headless(ctx, a, p, s)
}

// refuse stops at what a run may not do on its own.
func refuse(p *plan.Plan) error {
	for _, c := range p.Changes {
		switch c.Action {
		case plan.Replace, plan.Remove:
			return diag.Errorf("%s needs more than an update (%s: %v), which run never does", c.ID, c.Action, c.Reasons).
				WithHint("look with bb plan %s, then bb apply %s", c.ID.Agent, c.ID.Agent)
		case plan.Blocked:
			return diag.Errorf("%s is blocked: %s", c.ID, c.Note)
		}
	}
	return nil
}

// headless runs the provider's print mode. The prompt goes in by standard
// input: command lines show up in engine events.
func (c *runCmd) headless(ctx context.Context, a *app, p *planning, s *spec.Spec) error {
	var prompt io.Reader = strings.NewReader(c.Prompt)
	if c.Prompt == "-" {
		prompt = a.stdin
	}
	ctx, _, release := a.interrupts(ctx)
	defer release()
	code, err := p.drivers[s.Backend].Exec(ctx, s.ID, backends.ExecRequest{
		Argv: s.Program.Headless, Stdin: prompt, Stdout: a.stdout, Stderr: a.stderr,
	})
	if err != nil {
		return contextErr(ctx, err)
	}
	return exitWith(code)
}
