package cli

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/dash"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// shownName is an instance's name as a plan shows it, and agentName its agent's
// as commands take it.
func (p *planning) shownName(id spec.ID) string { return p.prefix(id) + id.String() }

func (p *planning) agentName(id spec.ID) string { return p.prefix(id) + id.Agent }

func (p *planning) prefix(id spec.ID) string {
	if p.scopes.repo != "" && id.Scope == p.scopes.home {
		return "home/"
	}
	return ""
}

// scopes are those whose bottles are listed; nil means all of this user.
func (d *dashSource) scopes(p *planning) []string {
	if d.all {
		return nil
	}
	return p.scopes.all()
}

func inScopes(scopes []string, id spec.ID) bool {
	return scopes == nil || slices.Contains(scopes, id.Scope)
}

// listing makes the rows of one look.
type listing struct {
	*dashSource
	p      *planning
	snap   *dash.Snapshot
	agents map[plan.Agent]*manifest.Agent
	there  map[spec.ID]bool
	seen   map[plan.Agent]bool // has a row
}

// bottles adds the instances in view, and the declared ones that are not there.
func (d *dashSource) bottles(p *planning, tallies map[logKey]*tally, memory map[logKey]int64, snap *dash.Snapshot) {
	l := &listing{d, p, snap, p.agents(), map[spec.ID]bool{}, map[plan.Agent]bool{}}
	for _, w := range p.seen {
		for _, o := range w.Instances {
			if inScopes(d.scopes(p), o.ID) {
				l.instance(o, tallies, memory)
			}
		}
	}
	l.absent()
	slices.SortFunc(snap.Bottles, func(x, y dash.Bottle) int {
		return cmp.Or(strings.Compare(x.Where, y.Where), strings.Compare(x.Name, y.Name), strings.Compare(x.ID, y.ID))
	})
	slices.SortStableFunc(snap.Denials, func(x, y dash.Denial) int { return x.At.Compare(y.At) })
}

func (l *listing) add(line dash.Bottle, id spec.ID) {
	l.snap.Bottles = append(l.snap.Bottles, line)
	l.seen[plan.Agent{Scope: id.Scope, Name: id.Agent}] = true
}

// instance adds one that is there, with what its sidecar decided.
func (l *listing) instance(o plan.Instance, tallies map[logKey]*tally, memory map[logKey]int64) {
	l.there[o.ID] = true
	line, b := l.row(o.ID, o.Backend), describe(o)
	line.There, line.State, line.Sidecar = true, b.State, b.Sidecar
	if b.Created > 0 {
		line.Created = time.Unix(b.Created, 0)
	}
	line.Memory = memory[logKey{o.ID, o.Backend, ""}]
	for _, log := range logNames {
		t := tallies[logKey{o.ID, o.Backend, log}]
		if t == nil {
			continue
		}
		one := t.copy()
		line.Requests, line.Denials, line.Bytes = line.Requests+one.requests, line.Denials+one.denied, line.Bytes+one.bytes
		for _, x := range one.denials {
			x.Bottle, x.Agent, x.Dir = line.Name, line.Agent, line.Dir
			l.snap.Denials = append(l.snap.Denials, x)
		}
	}
	l.add(line, o.ID)
}

// absent adds what is declared and not there.
func (l *listing) absent() {
	add := func(id spec.ID, backend, state string) {
		line := l.row(id, backend)
		line.State = state
		l.add(line, id)
	}
	for _, s := range l.p.specs {
		state := dash.NotThere
		if slices.ContainsFunc(l.p.plan.Changes, func(c plan.Change) bool { return c.ID == s.ID && slices.Contains(c.Reasons, plan.NotAllowed) }) {
			state = dash.NotAllowed
		}
		if !l.there[s.ID] {
			add(s.ID, s.Backend, state)
		}
	}
	for a, x := range l.agents {
		state := dash.OnDemand
		if slices.Contains(l.p.unapproved, x) {
			state = dash.NotAllowed
		}
		if !l.seen[a] && x.Replicas == 0 && !slices.Contains(l.p.fleet.BrokenAgents, a.Name) {
			add(spec.ID{Scope: a.Scope, Agent: a.Name}, "", state)
		}
	}
	for _, name := range l.p.fleet.BrokenAgents {
		bare, home := strings.CutPrefix(name, "home/")
		in := func(scope string) bool { return l.seen[plan.Agent{Scope: scope, Name: bare}] }
		if !in(l.p.scopes.home) && (home || !in(l.p.scopes.repo)) {
			add(spec.ID{Scope: l.p.scopes.home, Agent: bare}, "", dash.Broken)
		}
	}
}

// row is what is known of a bottle by its name alone.
func (l *listing) row(id spec.ID, backend string) dash.Bottle {
	p := l.p
	line := dash.Bottle{
		ID: id.Scope + "/" + id.String() + "/" + backend, Name: p.shownName(id), Backend: backend,
		Agent: p.agentName(id), Exact: p.prefix(id) + exactName(id), AdHoc: isAdHoc(id.Replica),
	}
	if x := l.agents[plan.Agent{Scope: id.Scope, Name: id.Agent}]; x != nil {
		line.Policy = x.Bottle.Name
	}
	if l.all {
		line.Where = "?"
		if dir, err := p.state.ScopeDir(id.Scope); err == nil {
			line.Where = l.a.style(l.a.stdout).Path(dir)
		}
	}
	if !slices.Contains(p.scopes.all(), id.Scope) {
		line.Elsewhere = true
		line.Dir = scopeDir(p.state, id.Scope)
	}
	return line
}

// scopeDir is where commands about a scope are called; "" where that is not known.
func scopeDir(st *state.State, scope string) string {
	dir, err := st.ScopeDir(scope)
	if err != nil || st.ScopeGone(scope) != "" {
		return ""
	}
	return dir
}

// agents are those that are declared, by scope and name.
func (p *planning) agents() map[plan.Agent]*manifest.Agent {
	ids := p.scopes.byManifest()
	out := map[plan.Agent]*manifest.Agent{}
	for _, x := range p.fleet.Agents {
		out[plan.Agent{Scope: ids[x.Scope], Name: x.Name}] = x
	}
	for _, x := range p.fleet.Shadowed {
		out[plan.Agent{Scope: p.scopes.home, Name: x.Name}] = x
	}
	return out
}
