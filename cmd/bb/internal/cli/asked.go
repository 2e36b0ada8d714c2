package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// asked is a proposal that waits, with what bb says of it.
type asked struct {
	Proposal egress.Proposal `json:"proposal"`
	Bottle   string          `json:"bottle"`
	// Directory is what declares the bottle, where it is not in view.
	Directory string   `json:"directory,omitempty"`
	Labels    []string `json:"labels,omitempty"`
	// Digest is what an approval names; "" where it cannot be approved from here.
	Digest string `json:"digest,omitempty"`
	// Unjudged says why there are neither.
	Unjudged string `json:"unjudged,omitempty"`

	id      spec.ID
	backend string
	spec    *spec.Spec // nil where it is not judged
}

// waiting lists what waits of all bottles that are supervised and that p is about,
// oldest first; everywhere also of those of other directories, which it counts
// otherwise. The error names the sidecars that do not tell.
func (p *planning) waiting(ctx context.Context, everywhere bool) (all []asked, elsewhere int, err error) {
	w := newWatching(ctx)
	defer w.close()
	w.patience, w.everywhere = listTime, true
	all, err = w.list(p)
	if !everywhere {
		n := len(all)
		all = slices.DeleteFunc(all, func(x asked) bool { return !slices.Contains(p.scopes.all(), x.id.Scope) })
		elsewhere = n - len(all)
	}
	return all, elsewhere, err
}

// oneWaiting is what waits and begins with an id, of all bottles of this user.
func (a *app) oneWaiting(ctx context.Context, id string) (*planning, asked, error) {
	if _, err := oneID(id, []string{id}, "", ""); err != nil {
		return nil, asked{}, err // before anything is looked at
	}
	p, err := a.overseeing(ctx, state.Open)
	if err != nil {
		return nil, asked{}, err
	}
	x, err := p.one(ctx, id)
	return p, x, err
}

// oneAsked is one that can be approved from here, as far as its bottle goes.
func (a *app) oneAsked(ctx context.Context, id string) (asked, error) {
	p, x, err := a.oneWaiting(ctx, id)
	if err == nil && x.spec == nil {
		a.warn(p.warnings)
		err = x.unjudged()
	}
	return x, err
}

// unjudged says that nobody can approve it.
func (x asked) unjudged() error {
	d := diag.Errorf("%s of %s cannot be approved: %s", short(x.Proposal.ID), x.Bottle, x.Unjudged)
	if x.Directory != "" {
		return d.WithHint("do it in %s", x.Directory)
	}
	return d.WithHint("bb supervise reject %s is possible", short(x.Proposal.ID))
}

// one finds what waits by the beginning of its id. A planning of certain agents is
// about to change them, and takes only what can be approved.
func (p *planning) one(ctx context.Context, name string) (asked, error) {
	all, _, err := p.waiting(ctx, len(p.want) == 0)
	ids := make([]string, len(all))
	for i, x := range all {
		ids[i] = x.Proposal.ID
	}
	id, none := oneID(name, ids, "waits", "bb supervise lists what does")
	if none != nil {
		return asked{}, errors.Join(err, none) // it may be that of a silent one
	}
	x := all[slices.Index(ids, id)]
	if len(p.want) > 0 && x.spec == nil {
		return asked{}, x.unjudged()
	}
	return x, nil
}

// specFor is what the manifests want of an instance, one for a session too; nil
// for what they know nothing of.
func (p *planning) specFor(id spec.ID) *spec.Spec {
	if i := slices.IndexFunc(p.specs, func(s *spec.Spec) bool { return s.ID == id }); i >= 0 {
		return p.specs[i]
	}
	r, err := p.beside(id)
	if err != nil {
		return nil
	}
	return r.Specs[0]
}

// beside is what an agent's manifests want of an instance that is not declared:
// one that bb start made.
func (p *planning) beside(id spec.ID) (compile.Result, error) {
	if r, ok := p.others[id]; ok {
		return r, nil
	}
	for _, agent := range p.fleet.Agents {
		if agent.Name != id.Agent || p.scopes.byManifest()[agent.Scope] != id.Scope || !isAdHoc(id.Replica) {
			continue
		}
		r, problems := compile.AdHoc(agent, p.options, id.Replica)
		if err := problems.Err(); err != nil {
			return r, err
		}
		if err := p.approve(r.Specs[0]); err != nil {
			return r, err
		}
		if p.others == nil {
			p.others = map[spec.ID]compile.Result{}
		}
		p.others[id] = r
		return r, nil
	}
	return compile.Result{}, diag.Errorf("no bottle %q", id.String()).WithHint("bb ps lists those that are there")
}

// moved refuses to approve what somebody did not see.
func moved(id, name string) error {
	return diag.Errorf("%s is not what was shown: it, or the policy, moved", id).WithHint("bb supervise show %s", name)
}
