package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// resume brings one bottle up again, declared or not, and lets its program go on
// where its last session ended. The bottle stays at the end.
func (c *startCmd) resume(ctx context.Context, a *app) error {
	p, err := a.planning([]string{agentOf(c.Resume)}, state.Open)
	if err != nil {
		return err
	}
	s, err := p.existing(c.Resume)
	if err != nil {
		return err
	}
	again := func(ctx context.Context) error { return p.alone(ctx, s) }
	if err := again(ctx); err != nil {
		return err
	}
	a.warn(append(append(diag.List{}, p.warnings...), p.plan.Notes...))
	if err := p.resumable(); err != nil {
		return err
	}
	if len(p.plan.Nodes) > 0 {
		if err := view.Plan(a.stdout, p.plan, p.style(a.stdout)); err != nil {
			return err
		}
		if err := p.ready(); err != nil {
			return err
		}
		if err := a.confirm(c.Yes, "Start it?"); err != nil {
			return err
		}
		if err := p.execute(ctx, executeOptions{operation: "start", wait: c.LockTimeout, quiet: true, replan: again}); err != nil {
			return err
		}
	}
	began := time.Now()
	code, err := a.attach(ctx, p.drivers[s.Backend], s, s.ID, attachOptions{Resume: true})
	a.reportRisky(s, began)
	if err != nil {
		return contextErr(ctx, err)
	}
	fmt.Fprintf(a.stderr, "%s is kept: bb stop %s ends what runs in it, bb destroy %s removes it\n", s.ID, exactName(s.ID), exactName(s.ID))
	return exitWith(code)
}

// existing is the spec of the instance of that name.
func (p *planning) existing(name string) (*spec.Spec, error) {
	bare := bottleName(name)
	for _, s := range p.specs {
		if s.ID.String() == bare {
			return s, nil
		}
	}
	if agent := p.fleet.Agent(agentOf(name)); agent != nil {
		_, replica, _ := strings.Cut(bare, "_")
		id := spec.ID{Scope: p.scopes.byManifest()[agent.Scope], Agent: agent.Name, Replica: replica}
		r, err := p.beside(id)
		if err != nil {
			return nil, err
		}
		p.desire = r
		return r.Specs[0], nil
	}
	return nil, diag.Errorf("no bottle %q", name).WithHint("bb ps lists those that are there, and bb start --resume BOTTLE goes on in one")
}

// resumable refuses what would make or remove something.
func (p *planning) resumable() error {
	for _, c := range p.plan.Changes {
		switch c.Action {
		case plan.Create:
			return diag.Errorf("there is no bottle %s", c.ID).WithHint("bb ps lists those that are there; bb start %s makes one", c.ID.Agent)
		case plan.Replace, plan.Remove:
			return diag.Errorf("%s cannot go on: another bottle is asked for now (%s)", c.ID, view.Why(c)).
				WithHint("%s", p.wayOut(c))
		}
	}
	return blocked(p.plan)
}

// wayOut says how the work in a bottle that cannot be started any more gets out.
func (p *planning) wayOut(c plan.Change) string {
	d, anew := p.drivers[c.Backend], "bb destroy "+c.ID.String()+" removes it"
	if !isAdHoc(c.ID.Replica) {
		anew = "bb apply " + c.ID.Agent + " makes it anew, without that"
	}
	var ways []string
	if _, ok := d.(backends.Archiver); ok {
		ways = append(ways, fmt.Sprintf("bb cp %s:PATH . carries files out of it", c.ID))
	}
	if _, ok := d.(backends.Freezer); ok {
		ways = append(ways, fmt.Sprintf("bb commit %s makes an image of it", c.ID))
	}
	if len(ways) == 0 { // all that reads it needs it to run
		ways = append(ways, "it starts as it was when what changed is put back")
	}
	return strings.Join(append(ways, anew), "; ")
}
