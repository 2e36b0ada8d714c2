package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// DriftKind is a stable word for what changed behind bb's back.
type DriftKind string

// Kinds of drift.
const (
	AgentStopped        DriftKind = "agent_stopped"
	AgentMissing        DriftKind = "agent_missing"
	AgentTampered       DriftKind = "agent_altered"
	AgentRenamed        DriftKind = "renamed"
	SidecarMissing      DriftKind = "sidecar_missing"
	SidecarStopped      DriftKind = "sidecar_stopped"
	SidecarUnconfigured DriftKind = "sidecar_unconfigured"
	SidecarTampered     DriftKind = "sidecar_altered"
	OtherRules          DriftKind = "rules_changed"
	ImageMoved          DriftKind = "image_moved"
	OtherVersion        DriftKind = "other_version"
)

// Drift is one difference between what bb made and what is there now, that no
// manifest explains.
type Drift struct {
	ID      spec.ID
	Backend string
	Kind    DriftKind
	// Text says what is there now, for people.
	Text string
	// Then is what apply does about it.
	Then Action
	// sidecar tells which container was renamed.
	sidecar bool
}

// drift compares what is there with what its own labels and state line say bb
// made. It needs no memory of earlier plans: labels describe creation.
func (d *Desired) drift(c *Change, o *Instance) []Drift {
	if o == nil || o.Halted() && len(o.Agent.Altered)+len(o.Sidecar.Altered) == 0 {
		return nil // stopped as bb stop does it: the change says so
	}
	var out []Drift
	found := func(kind DriftKind, format string, args ...any) {
		out = append(out, Drift{ID: c.ID, Backend: c.Backend, Kind: kind, Text: fmt.Sprintf(format, args...), Then: c.Action})
	}
	d.agentDrift(c, o, found)
	sidecarDrift(c, o, found)
	if v := d.otherVersion(c, o); v != "" {
		found(OtherVersion, "made by bb %s, this is %s", v, d.Version)
	}
	return out
}

type finder func(kind DriftKind, format string, args ...any)

func (d *Desired) agentDrift(c *Change, o *Instance, found finder) {
	switch {
	case o.Agent == nil:
		found(AgentMissing, "its agent is missing, other parts of it are there")
		return
	case o.Agent.Paused:
		found(AgentStopped, "paused")
	case !o.Agent.Running:
		found(AgentStopped, "stopped")
	}
	if len(o.Agent.Altered) > 0 {
		found(AgentTampered, "%s", strings.Join(o.Agent.Altered, "; "))
	}
	if i := slices.IndexFunc(c.Diff, func(f FieldDiff) bool { return f.Path == "image" }); i >= 0 {
		was, _, byName := strings.Cut(c.Diff[i].Old, "@")
		is, _, _ := strings.Cut(c.Diff[i].New, "@")
		if byName && was == is {
			found(ImageMoved, "the name %s stands for another image than it runs", was)
		}
	}
}

func sidecarDrift(c *Change, o *Instance, found finder) {
	switch {
	case o.Sidecar == nil && o.Agent == nil:
		return // said already: parts of it are there
	case o.Sidecar == nil:
		found(SidecarMissing, "its sidecar is gone: it has no way out")
		return
	case o.Sidecar.Paused: // altered says so
	case !o.Sidecar.Running:
		found(SidecarStopped, "its sidecar is stopped: it has no way out")
	case !configured(o):
		found(SidecarUnconfigured, "its sidecar restarted and has no rules: nothing passes")
	case slices.Contains(c.Reasons, RulesChanged):
		found(OtherRules, "its sidecar enforces other rules than bb gave it")
	}
	if len(o.Sidecar.Altered) > 0 {
		found(SidecarTampered, "its sidecar: %s", strings.Join(o.Sidecar.Altered, "; "))
	}
}

// otherVersion is the version that made what this one makes anew.
func (d *Desired) otherVersion(c *Change, o *Instance) string {
	for _, made := range []struct {
		reason Reason
		part   *Part
	}{{Confinement, o.Agent}, {SidecarOutdated, o.Sidecar}} {
		p := made.part
		if slices.Contains(c.Reasons, made.reason) && p != nil && p.Version != "" && p.Version != d.Version {
			return p.Version
		}
	}
	return ""
}

// renamed tells of a resource that carries an instance's labels under another
// name: bb leaves it alone, and makes what is missing.
func (d *Desired) renamed(p *Plan, f Foreign, backend string) {
	if f.Labels == "" {
		return
	}
	for _, s := range d.Specs {
		if s.Backend != backend || f.Labels != s.ID.Name() && f.Labels != s.ID.Sidecar() {
			continue
		}
		if d.wants(Agent{s.ID.Scope, s.ID.Agent}) {
			p.Drift = append(p.Drift, Drift{
				ID: s.ID, Backend: backend, Kind: AgentRenamed, sidecar: f.Labels == s.ID.Sidecar(),
				Text: f.String() + ": bb leaves it alone (rename it back, or remove it)",
			})
		}
		return
	}
	p.Notes = append(p.Notes, diag.Diagnostic{
		Severity: diag.Warning, Message: f.String(),
		Hint: "bb leaves it alone: rename it back, or remove it",
	})
}

// settleRenamed fills in what is done about instances whose container has
// another name now; that it is missing need not be said twice.
func (p *Plan) settleRenamed() {
	type part struct {
		id      spec.ID
		backend string
		kind    DriftKind
	}
	said := map[part]bool{}
	for i := range p.Drift {
		d := &p.Drift[i]
		if d.Kind != AgentRenamed {
			continue
		}
		d.Then = p.actionOf(d.ID, d.Backend)
		kind := AgentMissing
		if d.sidecar {
			kind = SidecarMissing
		}
		said[part{d.ID, d.Backend, kind}] = true
	}
	p.Drift = slices.DeleteFunc(p.Drift, func(d Drift) bool { return said[part{d.ID, d.Backend, d.Kind}] })
}

func (p *Plan) actionOf(id spec.ID, backend string) Action {
	for _, c := range p.Changes {
		if c.ID == id && c.Backend == backend {
			return c.Action
		}
	}
	return None
}
