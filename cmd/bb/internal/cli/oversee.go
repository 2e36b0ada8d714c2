package cli

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// sound is a planning of what is sound of the manifests: a broken one, or a damaged
// approval, keeps nobody from the others. Mistakes are among the warnings, as
// warnings.
func (a *app) sound(open func(string) (*state.State, error)) (*planning, error) {
	c, err := a.manifests(nil, open)
	if err != nil {
		return nil, err
	}
	c.make(c.fleet.Agents)
	c.specs = slices.DeleteFunc(c.specs, func(s *spec.Spec) bool {
		err := c.approve(s)
		if err != nil {
			c.warnings = append(c.warnings, flatten(err)...)
		}
		return err != nil
	})
	c.fleet.BrokenAgents = append(c.fleet.BrokenAgents, c.unmade()...)
	mistakes := slices.DeleteFunc(c.warnings, func(d diag.Diagnostic) bool { return d.Severity != diag.Error })
	for i := range mistakes {
		mistakes[i].Severity = diag.Warning
	}
	c.warnings = mistakes
	return a.planningOf(c, nil), nil
}

// overseeing sees what runs, beside what is sound of the manifests: who asks is
// seen and answered whatever else is wrong.
func (a *app) overseeing(ctx context.Context, open func(string) (*state.State, error)) (*planning, error) {
	p, err := a.sound(open)
	if err != nil {
		return nil, err
	}
	// Without specs: a backend that cannot be asked is told of, and stops nothing.
	if p.seen, p.unknown, err = p.drivers.observe(ctx, p.state.Owner, p.scopes, nil); err != nil {
		return nil, err
	}
	p.warnings = append(p.warnings, p.ignorance()...)
	p.plan = plan.Diff(p.desired(), p.seen)
	return p, nil
}

// unmade are the agents whose manifest is sound, and whose bottle cannot be made.
func (c *compiled) unmade() (names []string) {
	for _, x := range c.fleet.Agents {
		if x.Replicas > 0 && !slices.ContainsFunc(c.specs, func(s *spec.Spec) bool {
			return s.ID.Agent == x.Name && s.ID.Scope == c.scopes.byManifest()[x.Scope]
		}) {
			names = append(names, x.Name)
		}
	}
	return names
}

// wants is what the manifests want of an instance that runs, or why nobody knows.
func (p *planning) wants(id spec.ID) (*spec.Spec, error) {
	if i := slices.IndexFunc(p.specs, func(s *spec.Spec) bool { return s.ID == id }); i >= 0 {
		return p.specs[i], nil
	}
	broken := errors.New("its manifest is broken")
	agent := p.agentOf(id)
	switch {
	case !slices.Contains(p.scopes.all(), id.Scope):
		return nil, errors.New("it is of another directory")
	case agent == nil && (slices.Contains(p.fleet.BrokenAgents, id.Agent) || slices.Contains(p.fleet.BrokenAgents, "home/"+id.Agent)):
		return nil, broken
	case agent == nil:
		return nil, errors.New("no manifest declares it")
	}
	r, problems := compile.AdHoc(agent, p.options, id.Replica)
	if problems.HasErrors() {
		return nil, broken
	}
	if err := p.approve(r.Specs[0]); err != nil {
		return nil, errors.New("what was approved for it is damaged")
	}
	return r.Specs[0], nil
}

// agentOf is the agent that an instance is of, also one that another of its name
// hides; nil where none that is sound declares it.
func (p *planning) agentOf(id spec.ID) *manifest.Agent {
	for _, x := range slices.Concat(p.fleet.Agents, p.fleet.Shadowed) {
		n, err := strconv.Atoi(id.Replica)
		declared := err == nil && n <= x.Replicas || isAdHoc(id.Replica)
		if x.Name == id.Agent && p.scopes.byManifest()[x.Scope] == id.Scope && declared {
			return x
		}
	}
	return nil
}

// supervised reports whether a bottle was made as one that may ask: its sidecar
// does what the bottle was made for, whatever its manifest says by now.
func supervised(o plan.Instance) bool {
	var made spec.Fixed
	return o.Agent != nil && json.Unmarshal([]byte(o.Agent.SpecJSON), &made) == nil && made.Supervise
}
