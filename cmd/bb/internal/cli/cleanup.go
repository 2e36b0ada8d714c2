package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type cleanupCmd struct {
	Yes         bool          `short:"y" help:"Do not ask. Never stands for --force."`
	Force       bool          `help:"Also bottles in which commands run."`
	DryRun      bool          `help:"Only list."`
	OlderThan   daysOld       `help:"Also transcripts of bottles that ended longer ago: 30d, 12h." placeholder:"AGE"`
	JSON        bool          `help:"List as JSON; removes nothing."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"0s"`
}

// leftover is one line of cleanup: an instance, or what all instances share.
type leftover struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Why     string `json:"why"`
	Size    int64  `json:"size,omitempty"`
}

// Run lists what serves nothing any more, asks once, and removes it.
func (c *cleanupCmd) Run(ctx context.Context, a *app) error {
	p, err := a.withoutManifests(ctx, state.Open)
	if err != nil {
		return err
	}
	a.warn(p.ignorance())
	p.planOrphans()
	if err := p.ends(ctx); err != nil {
		return err
	}
	p.tellDesire()
	shared, err := p.orphans(ctx)
	if err != nil {
		return err
	}
	old, err := p.oldTranscripts(time.Duration(c.OlderThan))
	if err != nil {
		return err
	}
	half, err := p.state.Unfinished()
	if err != nil {
		return err
	}
	list := p.leftovers(shared)
	for _, t := range old {
		list = append(list, leftover{Kind: "transcript", Name: t.Name, Backend: "-", Why: "kept " + t.Time.Local().Format(time.DateOnly), Size: t.Size})
	}
	for _, t := range half {
		list = append(list, leftover{Kind: "transcript", Name: t.Name, Backend: "-", Why: "half-written by a bb that was cut off", Size: t.Size})
	}
	old = append(old, half...)
	if c.JSON {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(a.stdout, "Nothing to clean up.")
		return err
	}
	if err := printLeftovers(a, list); err != nil || c.DryRun {
		return err
	}
	if err := p.consent("cleanup", c.Yes, c.Force); err != nil {
		return err
	}
	if err := a.confirm(c.Yes, "Remove all of this?"); err != nil {
		return err
	}
	if len(p.plan.Nodes) > 0 {
		if err := p.execute(ctx, executeOptions{
			operation: "cleanup", wait: c.LockTimeout, agreed: p.plan.Fingerprint(), scopes: p.scopesOf(),
			replan: func(ctx context.Context) error {
				err := p.observe(ctx)
				p.planOrphans()
				return err
			},
		}); err != nil {
			return err
		}
		p.forgetScopes()
	}
	for _, t := range old {
		if err := p.state.RemoveTranscript(t); err != nil {
			return err
		}
	}
	if len(old) > 0 {
		fmt.Fprintf(a.stdout, "Removed %s.\n", count(len(old), "transcript"))
	}
	return p.removeShared(ctx, shared)
}

// daysOld is a duration that may be in days.
type daysOld time.Duration

// UnmarshalText is called by kong.
func (g *daysOld) UnmarshalText(text []byte) error {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		*g = daysOld(time.Duration(n) * 24 * time.Hour)
		if err == nil && n > 0 {
			return nil
		}
	} else if d, err := time.ParseDuration(string(text)); err == nil && d > 0 {
		*g = daysOld(d)
		return nil
	}
	return fmt.Errorf("%q is no age, such as 30d or 12h", text)
}

// oldTranscripts are those kept longer ago; none where nobody says how long.
func (p *planning) oldTranscripts(old time.Duration) ([]state.Transcript, error) {
	all, err := p.state.Transcripts()
	if old == 0 {
		return nil, err
	}
	return slices.DeleteFunc(all, func(t state.Transcript) bool { return time.Since(t.Time) < old }), err
}

// forgetScopes drops the records of directories that are gone, as their
// bottles are.
func (p *planning) forgetScopes() {
	for _, id := range p.scopesOf() {
		if p.state.ScopeGone(id) != "" {
			p.state.ForgetScope(id)
		}
	}
}

// planOrphans plans the removal of what is half-made and of what a directory
// declared that is gone, of what was seen.
func (p *planning) planOrphans() {
	p.plan = plan.Removal(p.seen, func(o plan.Instance) plan.Reason {
		switch {
		case p.state.ScopeGone(o.ID.Scope) != "":
			return plan.ScopeGone
		case o.Agent == nil, o.Agent.Unused:
			return plan.HalfMade
		}
		return ""
	})
}

// scopesOf lists the scopes of the plan: each has a lock of its own.
func (p *planning) scopesOf() []string {
	ids := map[string]bool{}
	for _, c := range p.plan.Changes {
		ids[c.ID.Scope] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// owned is an orphan and the backend that has it.
type owned struct {
	backend string
	backends.Orphan
}

// tellDesire tells drivers what the manifests in view desire. Where those do not
// compile, only what is made anew at the next apply can be lost.
func (p *planning) tellDesire() {
	c, err := p.app.compile(nil, state.Read)
	if err != nil {
		return
	}
	for name, d := range p.drivers {
		if w, ok := d.(backends.Wanter); ok {
			w.Want(slices.DeleteFunc(slices.Clone(c.specs), func(s *spec.Spec) bool { return s.Backend != name }))
		}
	}
}

// orphans are those of the backends that could be asked.
func (p *planning) orphans(ctx context.Context) ([]owned, error) {
	var out []owned
	for _, name := range slices.Sorted(maps.Keys(p.drivers)) {
		if p.unknown[name] != nil {
			continue
		}
		list, err := p.drivers[name].Orphans(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			out = append(out, owned{name, o})
		}
	}
	return out, nil
}

func (p *planning) leftovers(shared []owned) []leftover {
	list := []leftover{}
	for _, c := range p.plan.Changes {
		list = append(list, leftover{Kind: "bottle", Name: c.ID.Name(), Backend: c.Backend, Why: p.whyOrphaned(c)})
	}
	for _, o := range shared {
		list = append(list, leftover{Kind: o.Kind, Name: o.Name, Backend: o.backend, Why: o.Why, Size: o.Size})
	}
	return list
}

func (p *planning) whyOrphaned(c plan.Change) string {
	if gone := p.state.ScopeGone(c.ID.Scope); gone != "" {
		return gone
	}
	return "half-made (bb apply would finish it, if it is still declared)"
}

func printLeftovers(a *app, list []leftover) error {
	tw := tabwriter.NewWriter(a.stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(tw, "KIND\tNAME\tBACKEND\tSIZE\tWHY")
	for _, l := range list {
		size := "-"
		if l.Size > 0 {
			size = view.Size(l.Size)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", l.Kind, view.Escape(l.Name), l.Backend, size, view.Escape(l.Why))
	}
	return tw.Flush()
}

// removeShared removes what was shown and still serves nothing.
func (p *planning) removeShared(ctx context.Context, shown []owned) error {
	ctx, stop, release := p.app.interrupts(ctx)
	defer release()
	var failures []error
	removed := 0
	for _, o := range shown {
		select {
		case <-stop:
			return exitError{exitInterrupted, "interrupted before everything was removed"}
		default:
		}
		err := p.withShared(ctx, "cleanup", func() error { return p.drivers[o.backend].RemoveOrphan(ctx, o.Orphan) })
		if err != nil {
			failures = append(failures, err)
			continue
		}
		fmt.Fprintf(p.app.stderr, "%s %s: removed\n", o.Kind, view.Escape(o.Name))
		removed++
	}
	if len(shown) > 0 {
		fmt.Fprintf(p.app.stdout, "Removed %d of %d shared resources.\n", removed, len(shown))
	}
	return errors.Join(failures...)
}
