package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type attachCmd struct {
	Agent  string `arg:"" help:"The bottle, as bb ps names it."`
	New    bool   `help:"A session of its own, also beside one that lives: a new conversation, without --resume."`
	Resume bool   `help:"Go on with the last conversation, whenever that was."`
}

// Help is shown by bb attach --help.
func (*attachCmd) Help() string {
	return `The first time after a bottle was stopped, its program goes on with the
conversation that it had then. Otherwise it begins a new one.`
}

// Run puts the agent's program in the foreground of this terminal, and exits
// with its code.
func (c *attachCmd) Run(ctx context.Context, a *app) error {
	if err := a.needsTerminal("attach", "bb run "+c.Agent+" -p PROMPT works without one"); err != nil {
		return err
	}
	p, err := a.planning([]string{agentOf(c.Agent)}, state.Open)
	if err != nil {
		return err
	}
	s, err := p.specOf(agentOf(c.Agent))
	if err != nil {
		return err
	}
	a.warn(p.warnings)
	o, err := p.up(ctx, c.Agent, s)
	if err != nil {
		return err
	}
	code, err := a.attach(ctx, p.drivers[o.Backend], s, o.ID, attachOptions{New: c.New, Resume: c.Resume, Created: o.Agent.Created})
	if err != nil {
		return err
	}
	return exitWith(code)
}

// agentOf is the agent in an instance's name: "dev" in "dev_2".
func agentOf(name string) string {
	agent, _, _ := strings.Cut(name, "_")
	return agent
}

// specOf is what the manifests say of an agent, also of one without declared
// replicas: it knows the program.
func (p *planning) specOf(agent string) (*spec.Spec, error) {
	bare := strings.TrimPrefix(agent, "home/")
	for _, s := range p.specs {
		if s.ID.Agent == bare {
			return s, nil
		}
	}
	declared := p.fleet.Agent(agent)
	if declared == nil { // compile would have said so
		return nil, diag.Errorf("no agent %q", agent).WithHint("bb list shows what is declared")
	}
	desire, problems := compile.AdHoc(declared, p.options, "1")
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return desire.Specs[0], nil
}

// up finds the running instance of that name and of the spec's scope.
func (p *planning) up(ctx context.Context, name string, s *spec.Spec) (*plan.Instance, error) {
	if !slices.Contains(p.specs, s) {
		p.specs = append(p.specs, s)
	}
	if err := p.observe(ctx); err != nil {
		return nil, err
	}
	name = bottleName(name)
	off := diag.Errorf("%s does not run", name)
	for _, w := range p.seen {
		for i, o := range w.Instances {
			if o.ID.String() != name || o.ID.Scope != s.ID.Scope || o.Agent == nil {
				continue
			}
			if o.Agent.Running {
				return &w.Instances[i], nil
			}
			return nil, off.WithHint("%s", backends.BringsBack(o.ID))
		}
	}
	return nil, off.WithHint("bb apply %s brings it up; bb start %s makes another for one session", s.ID.Agent, s.ID.Agent)
}

// mainSession is the name of the one session that a bottle has unless --new
// asks for more.
const mainSession = "main"

// attachOptions say how the program begins.
type attachOptions struct {
	New    bool // beside a session that lives
	Resume bool
	// Created is when the bottle was, in seconds since 1970: what was said before
	// was not said in it. 0 means that nothing was said yet.
	Created int64
}

// attach runs the program of s in the instance id on this terminal, until the
// program ends, and returns its exit code.
func (a *app) attach(ctx context.Context, d backends.Driver, s *spec.Spec, id spec.ID, o attachOptions) (code int, err error) {
	r := backends.ExecRequest{Argv: s.Program.Interactive, Session: mainSession}
	if (!o.New || o.Resume) && a.goesOn(ctx, d, s, id, o) {
		r.Argv = s.Program.Resume
	}
	if o.New {
		r.Session = ""
	}
	if len(r.Argv) == 0 {
		return 0, diag.Errorf("provider %s has no program for a terminal", s.Fixed.Provider)
	}
	code, err = a.onTerminal(ctx, d, id, r)
	if errors.Is(err, backends.ErrSessionBusy) {
		return 0, diag.Errorf("%s is attached already", id).WithHint("bb attach --new %s starts a second session", id)
	}
	return code, err
}
