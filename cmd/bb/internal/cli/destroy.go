package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type destroyCmd struct {
	Agents      []string      `arg:"" optional:"" help:"Only these agents, or bottles as bb ps names them; AGENT_1 is the first of an agent alone."`
	Yes         bool          `short:"y" help:"Do not ask. Never stands for --force."`
	Force       bool          `help:"Also bottles in which commands run."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"0s"`
}

// Run removes instances. It reads no manifest: what is broken or gone must be
// removable too.
func (c *destroyCmd) Run(ctx context.Context, a *app) error {
	p, err := a.withoutManifests(ctx, state.Open)
	if err != nil {
		return err
	}
	for _, w := range p.seen {
		for _, f := range w.Foreign {
			fmt.Fprintf(a.stderr, "%s: left alone\n", view.Escape(f.String()))
		}
	}
	if err := p.known(c.Agents); err != nil {
		return err
	}
	p.planRemoval(c.Agents)
	a.warn(p.ignorance())
	if p.plan.Empty() {
		p.tellElsewhere()
		if _, err := fmt.Fprintln(a.stdout, "Nothing to destroy."); err != nil {
			return err
		}
		return c.incomplete(p)
	}
	if err := p.ends(ctx); err != nil {
		return err
	}
	if err := view.Plan(a.stdout, p.plan, p.style(a.stdout)); err != nil {
		return err
	}
	if err := p.consent("destroy", c.Yes, c.Force); err != nil {
		return err
	}
	if err := a.confirm(c.Yes, "Destroy these bottles and what is in them?"); err != nil {
		return err
	}
	if len(c.Agents) == 0 {
		defer p.tellElsewhere()
	}
	o := executeOptions{
		operation: "destroy", wait: c.LockTimeout,
		replan: func(ctx context.Context) error {
			err := p.observe(ctx)
			p.planRemoval(c.Agents)
			return err
		},
	}
	if !c.Yes {
		o.agreed = p.plan.Fingerprint()
	}
	if err := p.execute(ctx, o); err != nil {
		return err
	}
	return c.incomplete(p)
}

// incomplete fails a destroy of everything that could not ask for all there is.
func (c *destroyCmd) incomplete(p *planning) error {
	if len(c.Agents) > 0 || len(p.unknown) == 0 {
		return nil
	}
	return diag.Errorf("not everything is destroyed: what %s has is not known", strings.Join(slices.Sorted(maps.Keys(p.unknown)), " and ")).
		WithHint("the warning above says why; run bb destroy again when that is mended")
}

// withoutManifests is a planning of what runs: the scopes, what the drivers see,
// and as its plan the removal of all of it.
func (a *app) withoutManifests(ctx context.Context, open func(string) (*state.State, error)) (*planning, error) {
	p, err := a.inView(open)
	if err != nil {
		return nil, err
	}
	return p, p.seeAll(ctx)
}

// seeAll observes, and plans the removal of all that is seen.
func (p *planning) seeAll(ctx context.Context) error {
	if err := p.observe(ctx); err != nil {
		return err
	}
	p.planRemoval(nil)
	return nil
}

// inView is a planning without manifests, before anything is looked at.
func (a *app) inView(open func(string) (*state.State, error)) (*planning, error) {
	if err := a.homeExists(); err != nil {
		return nil, err
	}
	st, err := open(a.g.Home)
	if err != nil {
		return nil, err
	}
	sc, err := a.scopes(st)
	if err != nil {
		return nil, err
	}
	return &planning{
		compiled: &compiled{fleet: &manifest.Fleet{}, state: st, scopes: sc},
		app:      a, drivers: a.drivers(st, a.backendNames(st, nil)),
	}, nil
}

// planRemoval plans the removal of what agents name (none: of everything in
// view), of what was seen.
func (p *planning) planRemoval(agents []string) {
	p.plan = plan.Destroy(p.seen, p.meant(agents))
}

// meant are the instances in view that names on a command line stand for; all
// without names.
func (p *planning) meant(agents []string) []spec.ID {
	exist := p.exist()
	if len(agents) == 0 {
		return exist
	}
	found, _ := p.scopes.named(agents, exist) // what is unknown now was there when it was asked for
	return found
}

// known fails when any name on a command line stands for nothing, before
// anything is done about the others.
func (p *planning) known(agents []string) error {
	exist := p.exist()
	if _, unknown := p.scopes.named(agents, exist); len(unknown) > 0 {
		running := make([]string, len(exist))
		for i, id := range exist {
			running[i] = id.String()
		}
		slices.Sort(running)
		return p.noBottle(unknown, running)
	}
	return nil
}

// exist are the instances in view.
func (p *planning) exist() []spec.ID {
	var exist []spec.ID
	for _, w := range p.seen {
		for _, o := range w.Instances {
			if slices.Contains(p.scopes.all(), o.ID.Scope) {
				exist = append(exist, o.ID)
			}
		}
	}
	return exist
}

// tellElsewhere says which bottles of this user a destroy leaves alone: those
// of directories that are not in view.
func (p *planning) tellElsewhere() {
	n := map[string]int{}
	for _, w := range p.seen {
		for _, o := range w.Instances {
			if !slices.Contains(p.scopes.all(), o.ID.Scope) {
				n[o.ID.Scope]++
			}
		}
	}
	for _, scope := range slices.Sorted(maps.Keys(n)) {
		where, err := p.state.ScopeDir(scope)
		if err != nil {
			where = "a directory that is not known any more (bb cleanup)"
		}
		fmt.Fprintf(p.app.stderr, "bottles of %s stay: %d\n", view.Escape(where), n[scope])
	}
}

// instance finds one running or stopped instance by the name that lists show.
func (a *app) instance(ctx context.Context, name string) (*planning, *plan.Change, error) {
	p, err := a.inView(state.Open)
	if err != nil {
		return nil, nil, err
	}
	all := p.drivers
	if backend := a.backendOf(ctx, p.state, p.scopes, name); backend != "" {
		p.drivers = drivers{backend: all[backend]}
		if err := p.seeAll(ctx); err == nil {
			if c := p.named(name); c != nil {
				return p, c, nil
			}
		}
		p.drivers = all
	}
	if err := p.seeAll(ctx); err != nil {
		return nil, nil, err
	}
	if c := p.named(name); c != nil {
		return p, c, nil
	}
	return nil, nil, p.noBottle([]string{name}, names(p.plan))
}

// named is the instance of exactly that name, of those that are seen.
func (p *planning) named(name string) *plan.Change {
	var exist []spec.ID
	for _, c := range p.plan.Changes {
		exist = append(exist, c.ID)
	}
	id, ok := p.scopes.one(name, exist)
	for i, c := range p.plan.Changes {
		if ok && c.ID == id {
			return &p.plan.Changes[i]
		}
	}
	return nil
}

// names lists the instances of a plan, as bb ps names them.
func names(p *plan.Plan) []string {
	out := make([]string, len(p.Changes))
	for i, c := range p.Changes {
		out[i] = c.ID.String()
	}
	return out
}
