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
	// Want narrows the plan to these agents; empty means all.
	Want []string
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
	observed := index(worlds)
	found := maps.Clone(observed)
	worldOf := map[string]World{}
	foreign := map[string]Foreign{}
	for _, w := range worlds {
		worldOf[w.Backend] = w
		for _, f := range w.Foreign {
			foreign[w.Backend+"\x00"+f.Name] = f
			if f.Labels == "" {
				continue
			}
			if r, ok := d.renamed(f, w.Backend); ok {
				p.Drift = append(p.Drift, r)
				continue
			}
			p.Notes = append(p.Notes, diag.Diagnostic{
				Severity: diag.Warning, Message: f.String(),
				Hint: "bb leaves it alone: rename it back, or remove it",
			})
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
		if !d.wants(s.ID.Agent) {
			continue
		}
		if slices.Contains(d.NotAllowed, Agent{s.ID.Scope, s.ID.Agent}) {
			p.Changes = append(p.Changes, Change{
				ID: s.ID, Backend: s.Backend, Action: Blocked, Reasons: []Reason{NotAllowed}, Spec: s,
				Note: "not allowed yet: read it and approve it with bb allow " + s.ID.Agent,
			})
			continue
		}
		if f, ok := blockedBy(s, foreign); ok {
			p.Changes = append(p.Changes, Change{
				ID: s.ID, Backend: s.Backend, Action: Blocked, Reasons: []Reason{ForeignOwner}, Spec: s,
				Note: f.String() + ": rename or remove it yourself",
			})
			continue
		}
		c := d.compare(s, observed[s.ID], worldOf[s.Backend])
		o, _ := pick(s.Backend, observed[s.ID])
		p.Drift = append(p.Drift, d.drift(&c, o)...)
		p.add(c)
	}
	for _, instances := range found {
		for _, o := range instances {
			p.add(d.undeclared(o))
		}
	}
	p.settleRenamed()
	for i := range p.Changes {
		c := &p.Changes[i]
		c.identify(d.Hash, observed[c.ID])
	}
	p.sort()
	schedule(p, observed)
	return p
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

// settleRenamed fills in what is done about instances whose container has
// another name now; that it is missing need not be said twice.
func (p *Plan) settleRenamed() {
	renamed := map[spec.ID]bool{}
	for i := range p.Drift {
		if d := &p.Drift[i]; d.Kind == AgentRenamed {
			d.Then, renamed[d.ID] = p.actionOf(d.ID), true
		}
	}
	p.Drift = slices.DeleteFunc(p.Drift, func(d Drift) bool { return d.Kind == AgentMissing && renamed[d.ID] })
}

func (p *Plan) actionOf(id spec.ID) Action {
	for _, c := range p.Changes {
		if c.ID == id {
			return c.Action
		}
	}
	return None
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

func (d *Desired) wants(agent string) bool {
	return len(d.Want) == 0 || slices.Contains(d.Want, agent)
}

func blockedBy(s *spec.Spec, foreign map[string]Foreign) (Foreign, bool) {
	for _, name := range []string{s.ID.Name(), s.ID.Sidecar(), s.ID.DoorVolume(), s.ID.CAVolume()} {
		if f, ok := foreign[s.Backend+"\x00"+name]; ok {
			return f, true
		}
	}
	return Foreign{}, false
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
	if !slices.Contains(d.Scopes, o.ID.Scope) || !d.wants(o.ID.Agent) || adHoc(o.ID.Replica) || slices.Contains(d.Outside, agent) {
		return c
	}
	if slices.Contains(d.Broken, o.ID.Agent) {
		c.Action, c.Reasons = Blocked, []Reason{ManifestBroken}
		c.Note = "its manifest does not compile: nothing is done to it (bb validate)"
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

// adHoc reports whether a replica is a random suffix: bb start made it.
func adHoc(replica string) bool {
	for _, r := range replica {
		if r < '0' || r > '9' {
			return true
		}
	}
	return false
}
