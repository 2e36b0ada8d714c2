package cli

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/hostside"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/parallel"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// planning is one way from manifests to a plan. It can be walked again, to
// see whether the world moved meanwhile.
type planning struct {
	*compiled
	app     *app
	drivers drivers
	want    []string
	prune   bool
	pruned  []spec.ID // what a person named
	plan    *plan.Plan
	// mayEnd and endAll say which agents may be removed while commands run in
	// them: somebody was asked, or forces it.
	mayEnd map[spec.ID]bool
	endAll bool
	// operation is the command that executes.
	operation string
	// seen is what running observed, and unknown why it could not ask a backend.
	seen    []plan.World
	unknown map[string]error
	// asked are values that a person gave, kept for this command only.
	asked map[string]string
	// values are those that the host has.
	values host.Values
	// lacks is what this machine lacks for an instance, by its name.
	lacks map[string]error
	// others are instances that are not declared, and whose agent is.
	others map[spec.ID]compile.Result
	// toldOf are bottles whose conversations cannot be read, and whoever agrees to
	// their end was told so.
	toldOf map[spec.ID]bool
	// told are lines for the end of what is under way.
	told struct {
		sync.Mutex
		lines []string
	}
	// relays are those to the ssh-agent that this command began.
	relays struct {
		sync.Mutex
		begun map[spec.ID]bool
	}
}

func (a *app) planning(want []string, open func(string) (*state.State, error)) (*planning, error) {
	c, err := a.compile(want, open)
	var mistakes diag.List
	if errors.As(err, &mistakes) && len(want) == 0 {
		return nil, append(mistakes, diag.Errorf("nothing was planned, for sound agents neither").
			WithHint("name those to go on with: bb plan AGENT"))
	}
	if err != nil {
		return nil, err
	}
	return a.planningOf(c, want), nil
}

// planningOf is a planning of what was compiled.
func (a *app) planningOf(c *compiled, want []string) *planning {
	ds := a.drivers(c.state, a.backendNames(c.state, c.specs))
	machines := hostside.Used(sidecarsDir(c.state)) || slices.ContainsFunc(c.specs, func(s *spec.Spec) bool { return s.Backend == machineBackend })
	if lacks := hostside.Unconfined(); lacks != "" && machines {
		c.warnings = append(c.warnings, diag.Errorf("%s", lacks).WithHint("docs/security.md says what that means"))
	}
	for _, s := range c.specs {
		if s.Backend == machineBackend && s.Gate.Network != "" {
			c.warnings = append(c.warnings, warning("%s: egress.network names a network of Docker, and its sidecar is a process of this machine", s.ID).
				WithHint("take egress.network out, or backend: smolvm"))
		}
	}
	return &planning{compiled: c, app: a, drivers: ds, want: want}
}

// look observes and diffs, and asks which commands the plan would end: consent
// is about them.
func (p *planning) look(ctx context.Context) error {
	if err := p.decide(ctx, true); err != nil {
		return err
	}
	return p.ends(ctx)
}

// decide observes and diffs. Where a sidecar enforces something else than its
// manifest says, it is asked once what that is, if somebody reads the plan.
func (p *planning) decide(ctx context.Context, read bool) error {
	if err := p.approved(); err != nil {
		return err
	}
	if err := p.observe(ctx); err != nil {
		return err
	}
	p.preflight(ctx)
	desired := p.desired()
	p.diff(desired)
	if read && p.documents(ctx, p.seen) {
		p.diff(desired)
	}
	return p.nameOthers(p.workspaces())
}

// preflight asks drivers what this machine lacks. A plan notes it, and an apply
// stops at it before anything is made.
func (p *planning) preflight(ctx context.Context) {
	p.lacks = map[string]error{}
	for _, s := range p.specs {
		if d, ok := p.drivers[s.Backend].(backends.Preflighter); ok {
			if err := d.Preflight(ctx, s); err != nil {
				p.lacks[s.ID.Name()] = err
			}
		}
	}
}

func (p *planning) desired() plan.Desired {
	d := plan.Desired{
		Specs: p.specs, Scopes: p.scopes.all(), Prune: p.prune, Pruned: p.pruned, Version: Version,
		Broken:  p.fleet.BrokenAgents,
		Hash:    func(s *spec.Spec) (string, string) { return s.Hash(p.state.Key), s.FixedJSON(p.state.Key) },
		Digests: map[string]map[string]string{},
	}
	ids := p.scopes.byManifest()
	for _, a := range p.fleet.Agents {
		d.Declared = append(d.Declared, plan.Agent{Scope: ids[a.Scope], Name: a.Name})
	}
	for _, a := range p.fleet.Shadowed {
		hidden := plan.Agent{Scope: p.scopes.home, Name: a.Name}
		d.Declared, d.Outside = append(d.Declared, hidden), append(d.Outside, hidden)
	}
	for _, name := range p.fleet.BrokenAgents {
		if home, ok := strings.CutPrefix(name, "home/"); ok {
			d.Outside = append(d.Outside, plan.Agent{Scope: p.scopes.home, Name: home})
		}
	}
	for _, name := range p.want {
		if home, ok := strings.CutPrefix(name, "home/"); ok {
			d.Want = append(d.Want, plan.Agent{Scope: p.scopes.home, Name: home})
		} else {
			d.Want = append(d.Want, plan.Agent{Name: name})
		}
	}
	for _, a := range p.unapproved {
		d.NotAllowed = append(d.NotAllowed, plan.Agent{Scope: p.scopes.repo, Name: a.Name})
	}
	for _, s := range p.specs {
		d.Digests[s.ID.Name()] = p.digests(s)
	}
	return d
}

// documents fetches the live document of every instance whose egress or remotes
// differ.
func (p *planning) documents(ctx context.Context, worlds []plan.World) bool {
	differs := map[spec.ID]bool{}
	for _, c := range p.plan.Changes {
		for _, r := range []plan.Reason{plan.EgressChanged, plan.GitChanged, plan.RulesChanged} {
			if slices.Contains(c.Reasons, r) {
				differs[c.ID] = true
			}
		}
	}
	var work []func() error
	for _, w := range worlds {
		for i := range w.Instances {
			if o := &w.Instances[i]; differs[o.ID] {
				work = append(work, func() error {
					raw, err := p.drivers[w.Backend].Control(ctx, o.ID, "get")
					var reply egress.Reply
					if err == nil && json.Unmarshal(raw, &reply) == nil {
						o.Document = reply.Document
					}
					return nil // without it the plan says only that it differs
				})
			}
		}
	}
	_ = atOnce(work)
	return len(differs) > 0
}

// nameOthers adds to what stops a command about all agents that others can go
// on by name.
func (p *planning) nameOthers(err error) error {
	var list diag.List
	if !errors.As(err, &list) || len(p.want) > 0 || len(p.specs) < 2 {
		return err
	}
	return append(list, diag.Errorf("nothing was done, for other agents neither").
		WithHint("name those to go on with: bb apply AGENT"))
}

// atOnce runs what only looks, a few at a time, and joins the errors.
func atOnce(work []func() error) error {
	return errors.Join(parallel.Run(8, work...)...)
}

// digests identifies the token values that are known without running anything.
func (p *planning) digests(s *spec.Spec) map[string]string {
	out := map[string]string{}
	lookup := p.lookup(s.ID, p.values.Known)
	for slot, ref := range s.Live.Tokens {
		if v, err := lookup(ref); err == nil && v != "" {
			out[slot] = p.state.Key.Digest(s.ID.Name(), ref, v)
		}
	}
	return out
}
