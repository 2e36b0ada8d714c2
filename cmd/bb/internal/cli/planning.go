package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
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
	plan    *plan.Plan
}

func (a *app) planning(want []string, open func(string) (*state.State, error)) (*planning, error) {
	c, err := a.compile(want, open)
	if err != nil {
		return nil, err
	}
	ds, err := a.drivers(c.state, c.specs)
	if err != nil {
		return nil, err
	}
	return &planning{compiled: c, app: a, drivers: ds, want: want}, nil
}

// look observes and diffs. Where a sidecar enforces something else than its
// manifest says, it is asked once what that is.
func (p *planning) look(ctx context.Context) error {
	worlds, err := p.drivers.observe(ctx, p.state.Owner, p.scopes, p.specs)
	if err != nil {
		return err
	}
	desired := p.desired()
	p.plan = plan.Diff(desired, worlds)
	if p.documents(ctx, worlds) {
		p.plan = plan.Diff(desired, worlds)
	}
	return nil
}

func (p *planning) desired() plan.Desired {
	d := plan.Desired{
		Specs: p.specs, Scopes: p.scopes.all(), Prune: p.prune,
		Broken:  p.fleet.BrokenAgents,
		Hash:    func(s *spec.Spec) (string, string) { return s.Hash(p.state.Key), s.FixedJSON(p.state.Key) },
		Digests: map[string]map[string]string{},
	}
	ids := p.scopes.byManifest()
	for _, a := range p.fleet.Agents {
		d.Declared = append(d.Declared, plan.Agent{Scope: ids[a.Scope], Name: a.Name})
	}
	for _, a := range p.fleet.Shadowed {
		d.Outside = append(d.Outside, plan.Agent{Scope: p.scopes.home, Name: a.Name})
	}
	for _, name := range p.fleet.BrokenAgents {
		if home, ok := strings.CutPrefix(name, "home/"); ok {
			d.Outside = append(d.Outside, plan.Agent{Scope: p.scopes.home, Name: home})
		}
	}
	for _, name := range p.want {
		d.Want = append(d.Want, strings.TrimPrefix(name, "home/"))
	}
	for _, a := range p.unapproved {
		d.NotAllowed = append(d.NotAllowed, plan.Agent{Scope: p.scopes.repo, Name: a.Name})
	}
	for _, s := range p.specs {
		d.Digests[s.ID.Name()] = p.digests(s, hostValue)
	}
	return d
}

// documents fetches the live document of every instance whose egress differs.
func (p *planning) documents(ctx context.Context, worlds []plan.World) bool {
	differs := map[spec.ID]bool{}
	for _, c := range p.plan.Changes {
		if slices.Contains(c.Reasons, plan.EgressChanged) {
			differs[c.ID] = true
		}
	}
	for _, w := range worlds {
		for i := range w.Instances {
			o := &w.Instances[i]
			if !differs[o.ID] {
				continue
			}
			raw, err := p.drivers[w.Backend].Control(ctx, o.ID, "get")
			var reply egress.Reply
			if err == nil && json.Unmarshal(raw, &reply) == nil {
				o.Document = reply.Document // else the plan says only that it differs
			}
		}
	}
	return len(differs) > 0
}

// hostValue looks a token reference or a host variable up.
func hostValue(ref string) (string, bool) { return os.LookupEnv(ref) }

// digests identifies the token values that the host has.
func (p *planning) digests(s *spec.Spec, lookup func(string) (string, bool)) map[string]string {
	out := map[string]string{}
	for slot, ref := range s.Live.Tokens {
		if v, ok := lookup(ref); ok && v != "" {
			out[slot] = p.state.Key.Digest(s.ID.Name(), ref, v)
		}
	}
	return out
}

// unresolved notes what an apply of this plan would stop at.
func (p *planning) unresolved() diag.List {
	var notes diag.List
	for _, c := range p.plan.Changes {
		if c.Spec == nil || c.Action == plan.Blocked {
			continue
		}
		_, err := p.secrets(c.Spec)
		var list diag.List
		if errors.As(err, &list) {
			for _, d := range list {
				d.Severity, d.Message = diag.Warning, d.Message+": apply will stop here"
				notes = append(notes, d)
			}
		}
	}
	notes.Sort()
	return notes
}

// secrets resolves every value that a spec refers to. Errors name variables
// and what wants them, never a value.
func (p *planning) secrets(s *spec.Spec) (spec.Secrets, error) {
	var refs []egress.SlotRef
	for slot, ref := range s.Live.Tokens {
		refs = append(refs, egress.SlotRef{Slot: slot, Ref: ref})
	}
	slices.SortFunc(refs, func(a, b egress.SlotRef) int { return strings.Compare(a.Slot, b.Slot) })
	tokens, err := egress.ResolveTokens(refs, hostValue)
	var problems diag.List
	for _, e := range unjoin(err) {
		problems = append(problems, diag.Errorf("%s: %v", s.ID, e).WithHint("export it, then run bb again"))
	}
	out := spec.Secrets{Tokens: tokens, Env: map[string]string{}, Digests: p.digests(s, hostValue)}
	for _, e := range s.Fixed.Env {
		if e.Kind != spec.EnvHost {
			continue
		}
		v, ok := os.LookupEnv(e.Value)
		switch {
		case !ok:
			problems = append(problems, diag.Errorf("%s: env.%s: host variable %s is not set", s.ID, e.Name, e.Value).
				WithHint("export it, then run bb again"))
		case strings.ContainsRune(v, 0):
			problems = append(problems, diag.Errorf("%s: env.%s: the value of %s has a NUL byte", s.ID, e.Name, e.Value))
		}
		out.Env[e.Name] = v
	}
	return out, problems.Err()
}

// unjoin lists what errors.Join joined.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}
