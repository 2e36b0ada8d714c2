package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Desired is everything that diff wants the world to be.
type Desired struct {
	Specs []*spec.Spec
	// Scopes are the scopes in view: instances of others are left alone.
	Scopes []string
	// Declared names every agent that compiles, also with no replicas.
	Declared []Agent
	// Outside names agents that this plan leaves alone: a home agent shadowed
	// by a repository's.
	Outside []Agent
	// NotAllowed names agents of a repository that nobody approved: they are
	// shown and nothing is done.
	NotAllowed []Agent
	// Want narrows the plan to these agents; empty means all. One without a
	// scope is whichever agent of that name is not outside.
	Want []Agent
	// Broken names agents whose manifest does not compile: their instances
	// are blocked, never removed.
	Broken []string
	// Hash returns the hash of a spec's fixed half and its JSON.
	Hash func(*spec.Spec) (hash, json string)
	// Digests maps instance name and slot to the digest of the token's value
	// on the host; absent means unknown, which is not a change.
	Digests map[string]map[string]string
	// Prune removes what no manifest declares; without it, only what Pruned
	// names, since a person did.
	Prune  bool
	Pruned []spec.ID
	// Version is this bb's, to tell what another one made.
	Version string
}

// Agent names an agent of a scope.
type Agent struct{ Scope, Name string }

// Diff compares. It is pure, and its result is sorted by instance.
func Diff(d Desired, worlds []World) *Plan {
	p := &Plan{}
	worlds = sorted(worlds)
	observed := index(worlds)
	found := maps.Clone(observed)
	worldOf := map[string]World{}
	taken := taken(worlds)
	for _, w := range worlds {
		worldOf[w.Backend] = w
		for _, f := range w.Foreign {
			d.renamed(p, f, w.Backend)
		}
		if w.SharedNetwork == "foreign" {
			p.Notes = append(p.Notes, diag.Diagnostic{
				Severity: diag.Warning,
				Message:  "network bb-egress was not made by bb: it is used, never altered or removed",
			})
		}
	}
	for _, s := range d.Specs {
		delete(found, s.ID)
		if !d.wants(Agent{s.ID.Scope, s.ID.Agent}) {
			continue
		}
		if slices.Contains(d.NotAllowed, Agent{s.ID.Scope, s.ID.Agent}) {
			p.Changes = append(p.Changes, Change{
				ID: s.ID, Backend: s.Backend, Action: Blocked, Reasons: []Reason{NotAllowed}, Spec: s,
				Note: unread(Agent{s.ID.Scope, s.ID.Agent}),
			})
			continue
		}
		if f, ok := taken.by(s.Backend, names(s.ID)...); ok {
			p.Changes = append(p.Changes, Change{
				ID: s.ID, Backend: s.Backend, Action: Blocked, Reasons: []Reason{ForeignOwner}, Spec: s,
				Note: f.String() + ": rename or remove it yourself",
			})
			continue
		}
		c := d.compare(s, observed[s.ID], worldOf[s.Backend])
		o, elsewhere := pick(s.Backend, observed[s.ID])
		p.Drift = append(p.Drift, d.drift(&c, o)...)
		p.add(c)
		if !slices.Contains(c.Reasons, BackendChanged) {
			for _, e := range elsewhere {
				p.add(taken.spare(Change{ID: e.ID, Backend: e.Backend, Action: Remove, Reasons: []Reason{BackendChanged}}, e))
			}
		}
	}
	for _, instances := range found {
		for _, o := range instances {
			p.add(taken.spare(d.undeclared(o), o))
		}
	}
	p.settleRenamed()
	for i := range p.Changes {
		c := &p.Changes[i]
		c.identify(d.Hash, observed[c.ID], worldOf[c.Backend])
	}
	p.sort()
	schedule(p, observed, taken)
	return p
}

// sorted puts what drivers list into one order: a plan must not depend on it.
func sorted(worlds []World) []World {
	out := slices.Clone(worlds)
	slices.SortFunc(out, func(a, b World) int { return cmp.Compare(a.Backend, b.Backend) })
	for i := range out {
		out[i].Foreign = slices.Clone(out[i].Foreign)
		slices.SortFunc(out[i].Foreign, func(a, b Foreign) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Labels, b.Labels))
		})
	}
	return out
}

func (p *Plan) sort() {
	slices.SortFunc(p.Changes, func(a, b Change) int {
		return cmp.Or(compareIDs(a.ID, b.ID), cmp.Compare(a.Backend, b.Backend))
	})
	slices.SortStableFunc(p.Drift, func(a, b Drift) int {
		return cmp.Or(compareIDs(a.ID, b.ID), cmp.Compare(a.Backend, b.Backend))
	})
	p.Notes.Sort()
}

// compareIDs orders replicas as people count.
func compareIDs(a, b spec.ID) int {
	return cmp.Or(cmp.Compare(a.Agent, b.Agent), len(a.Replica)-len(b.Replica),
		cmp.Compare(a.Replica, b.Replica), cmp.Compare(a.Scope, b.Scope))
}

// index groups the observed instances by identity: one may exist on several
// backends while its manifest moves it from one to the other.
func index(worlds []World) map[spec.ID][]Instance {
	m := map[spec.ID][]Instance{}
	for _, w := range worlds {
		for _, i := range w.Instances {
			m[i.ID] = append(m[i.ID], i)
		}
	}
	return m
}

func (d *Desired) wants(a Agent) bool {
	return len(d.Want) == 0 || slices.Contains(d.Want, a) || slices.Contains(d.Want, Agent{Name: a.Name})
}

// outside reports whether the plan leaves an agent alone, unless it is named
// with its scope.
func (d *Desired) outside(a Agent) bool {
	return slices.Contains(d.Outside, a) && !slices.Contains(d.Want, a)
}

// add appends a change and counts what has none.
func (p *Plan) add(c Change) {
	switch {
	case c.Action == None && c.Spec != nil:
		p.Unchanged++
	case c.Action != None:
		p.Changes = append(p.Changes, c)
	}
}

// undeclared decides about an instance that no manifest asks for.
func (d *Desired) undeclared(o Instance) Change {
	c := Change{ID: o.ID, Backend: o.Backend, Action: None}
	agent := Agent{o.ID.Scope, o.ID.Agent}
	if !slices.Contains(d.Scopes, o.ID.Scope) || !d.wants(agent) || adHoc(o.ID.Replica) || d.outside(agent) {
		return c
	}
	if slices.Contains(d.Broken, o.ID.Agent) {
		c.Action, c.Reasons = Blocked, []Reason{ManifestBroken}
		c.Note = "its manifest does not compile: nothing is done to it (bb validate)"
		return c
	}
	if slices.Contains(d.NotAllowed, agent) { // its replicas are what nobody read yet
		c.Action, c.Reasons, c.Note = Blocked, []Reason{NotAllowed}, unread(agent)
		return c
	}
	c.Action, c.Note = Remove, lostWork(Remove, &o)
	if slices.Contains(d.Declared, agent) {
		c.Reasons = []Reason{ScaledDown} // declared: needs no --prune
		return c
	}
	c.Reasons, c.Kept = []Reason{NotDeclared}, !d.Prune && !slices.Contains(d.Pruned, o.ID)
	return c
}

func unread(a Agent) string {
	return "not allowed yet: read it and approve it with bb allow " + a.Name
}

// adHoc reports whether a replica is a random suffix: bb start made it.
func adHoc(replica string) bool {
	for _, r := range replica {
		if r < '0' || r > '9' {
			return true
		}
	}
	return false
}
