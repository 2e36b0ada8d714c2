package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/state"
)

type destroyCmd struct {
	Agents      []string      `arg:"" optional:"" help:"Only these agents."`
	Yes         bool          `short:"y" help:"Do not ask."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"0s"`
}

// Run removes instances. It reads no manifest: what is broken or gone must be
// removable too.
func (c *destroyCmd) Run(ctx context.Context, a *app) error {
	p, foreign, err := a.running(ctx)
	if err != nil {
		return err
	}
	look := func(ctx context.Context) error {
		worlds, err := p.drivers.observe(ctx, p.state.Owner, p.scopes, nil)
		if err != nil {
			return err
		}
		p.seen = worlds
		p.plan = plan.Destroy(worlds, p.scopes.all(), c.Agents)
		return nil
	}
	if err := look(ctx); err != nil {
		return err
	}
	for _, f := range foreign {
		fmt.Fprintf(a.stderr, "%s: left alone\n", view.Escape(f.String()))
	}
	if p.plan.Empty() && len(c.Agents) > 0 {
		return unknownBottle(strings.Join(c.Agents, " "), names(plan.Destroy(p.seen, p.scopes.all(), nil)))
	}
	if p.plan.Empty() {
		_, err := fmt.Fprintln(a.stdout, "Nothing to destroy.")
		return err
	}
	if err := view.Plan(a.stdout, p.plan, a.style(a.stdout)); err != nil {
		return err
	}
	if err := a.confirm(c.Yes, "Destroy these bottles and what is in them?"); err != nil {
		return err
	}
	return p.execute(ctx, executeOptions{operation: "destroy", wait: c.LockTimeout, shown: !c.Yes, replan: look})
}

// running is a planning without manifests: the scope and what the drivers see.
func (a *app) running(ctx context.Context) (*planning, []plan.Foreign, error) {
	if err := a.homeExists(); err != nil {
		return nil, nil, err
	}
	st, err := state.Open(a.g.Home)
	if err != nil {
		return nil, nil, err
	}
	sc, err := a.scopes(st)
	if err != nil {
		return nil, nil, err
	}
	ds, err := a.drivers(st, nil)
	if err != nil {
		return nil, nil, err
	}
	p := &planning{
		compiled: &compiled{fleet: &manifest.Fleet{}, state: st, scopes: sc},
		app:      a, drivers: ds,
	}
	worlds, err := ds.observe(ctx, st.Owner, sc, nil)
	if err != nil {
		return nil, nil, err
	}
	var foreign []plan.Foreign
	for _, w := range worlds {
		foreign = append(foreign, w.Foreign...)
	}
	p.plan = plan.Destroy(worlds, sc.all(), nil)
	return p, foreign, nil
}

// instance finds one running or stopped instance by the name that lists show.
func (a *app) instance(ctx context.Context, name string) (*planning, *plan.Change, error) {
	p, _, err := a.running(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i, c := range p.plan.Changes {
		if c.ID.String() == name {
			return p, &p.plan.Changes[i], nil
		}
	}
	return nil, nil, unknownBottle(name, names(p.plan))
}

// names lists the instances of a plan, as bb ps names them.
func names(p *plan.Plan) []string {
	out := make([]string, len(p.Changes))
	for i, c := range p.Changes {
		out[i] = c.ID.String()
	}
	return out
}
