package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type startCmd struct {
	Agent       string        `arg:"" optional:"" help:"The agent to start a bottle of."`
	Resume      string        `help:"Go on in a bottle that was stopped or kept, as bb ps names it." placeholder:"BOTTLE"`
	Yes         bool          `short:"y" help:"Do not ask."`
	Keep        bool          `help:"Keep the bottle when its program ends."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"0s"`
}

// Validate is called by kong.
func (c *startCmd) Validate() error {
	if (c.Agent == "") == (c.Resume == "") {
		return errors.New("name an agent, or --resume BOTTLE")
	}
	return nil
}

// Run brings up a bottle of its own beside the declared ones, attaches to it,
// and removes it when its program ended well.
func (c *startCmd) Run(ctx context.Context, a *app) error {
	if err := a.needsTerminal("start", "bb run "+cmp.Or(c.Agent, agentOf(c.Resume))+" -p PROMPT works without one"); err != nil {
		return err
	}
	if c.Resume != "" {
		return c.resume(ctx, a)
	}
	p, err := a.planning([]string{c.Agent}, state.Open)
	if err != nil {
		return err
	}
	s, err := p.adHoc(c.Agent)
	if err != nil {
		return err
	}
	if err := p.alone(ctx, s); err != nil {
		return err
	}
	a.warn(append(append(diag.List{}, p.warnings...), p.plan.Notes...))
	if err := view.Plan(a.stdout, p.plan, p.style(a.stdout)); err != nil {
		return err
	}
	if err := blocked(p.plan); err != nil {
		return err
	}
	if err := p.ready(); err != nil {
		return err
	}
	if err := a.confirm(c.Yes, "Start it?"); err != nil {
		return err
	}
	if err := p.execute(ctx, executeOptions{
		operation: "start", wait: c.LockTimeout, quiet: true,
		replan: func(ctx context.Context) error { return p.alone(ctx, s) },
	}); err != nil {
		if p.teardown(ctx, s.ID) != nil { // no apply would finish it
			fmt.Fprintf(a.stderr, "%s is half-made: bb destroy %s removes it\n", s.ID, s.ID)
		}
		return err
	}
	began := time.Now()
	code, err := a.attach(ctx, p.drivers[s.Backend], s, s.ID, attachOptions{})
	defer a.reportRisky(s, began) // when the bottle is gone: nothing changes under it any more
	if err != nil || code != 0 || c.Keep {
		why := ""
		if code != 0 {
			why = fmt.Sprintf(" (its program ended with %d)", code)
		}
		fmt.Fprintf(a.stderr, "%s is kept%s: bb attach --resume %s goes on in it, bb destroy %s removes it\n", s.ID, why, s.ID, exactName(s.ID))
		if err != nil {
			return contextErr(ctx, err)
		}
		return exitWith(code)
	}
	return p.teardown(ctx, s.ID)
}

// adHoc is the spec of a new instance beside the declared ones.
func (p *planning) adHoc(name string) (*spec.Spec, error) {
	agent := p.fleet.Agent(name)
	if agent == nil {
		return nil, diag.Errorf("no agent %q", name) // planning has said so already
	}
	desire, problems := compile.AdHoc(agent, p.options, newReplica())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	p.desire = desire
	return desire.Specs[0], nil
}

// newReplica begins with a letter: declared replicas are numbers.
func newReplica() string {
	var random [2]byte
	_, _ = rand.Read(random[:])
	return "x" + hex.EncodeToString(random[:])
}

// isAdHoc reports whether a replica is one that newReplica made.
func isAdHoc(replica string) bool { return strings.HasPrefix(replica, "x") }

// alone plans one instance and nothing else.
func (p *planning) alone(ctx context.Context, s *spec.Spec) error {
	p.specs = []*spec.Spec{s}
	if err := p.approved(); err != nil {
		return err
	}
	if err := p.observe(ctx); err != nil {
		return err
	}
	desired := p.desired()
	desired.Scopes, desired.Want = nil, nil // what else there is, is not looked at
	p.diff(desired)
	for _, c := range p.plan.Changes {
		*s = *c.Spec // with the directory that it works on
	}
	return p.workspaces()
}

// reportRisky lists what changed in a mounted workspace and runs on the host
// when a tool opens it (attacks F3, F4).
func (a *app) reportRisky(s *spec.Spec, began time.Time) {
	w := s.Fixed.Workspace
	if w.Mode != spec.WorkspaceMount {
		return
	}
	if found, err := riskySince(w.Path, began); err == nil {
		a.warnRisky(found)
	}
}

// teardown removes one instance.
func (p *planning) teardown(ctx context.Context, id spec.ID) error {
	only := func(ctx context.Context) error {
		if err := p.observe(ctx); err != nil {
			return err
		}
		p.plan = plan.Removal(p.seen, func(o plan.Instance) plan.Reason {
			if o.ID == id {
				return plan.Requested
			}
			return ""
		})
		return nil
	}
	return p.execute(ctx, executeOptions{operation: "start", wait: time.Minute, quiet: true, replan: only})
}
