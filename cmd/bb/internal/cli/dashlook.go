package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/dash"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/state"
)

// dashSource looks as plan, ps and logs do. A look that fails changes nothing.
type dashSource struct {
	a         *app
	self      string
	logs      string // a directory
	workspace string // for keys: what is looked at has none
	all       bool
	patient   bool // waits until the logs were read

	mu sync.Mutex // one look at a time
	// asked hears what waits, following what is logged, for as long as the screen
	// is there; metered is what agents needed at the last look at that.
	asked     *watching
	following *following
	metered   meter
}

func newDashSource(ctx context.Context, a *app, all bool) (*dashSource, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := &dashSource{
		a: a, self: self, logs: filepath.Join(a.g.Home, "logs"), workspace: a.g.Workspace, all: all,
		asked: newWatching(ctx), following: newFollowing(ctx),
	}
	a.g.Workspace = ""
	return d, nil
}

func (d *dashSource) close() {
	d.asked.close()
	d.following.close()
}

// Look takes one snapshot. Mistakes in manifests hide no bottle.
func (d *dashSource) Look(ctx context.Context) (dash.Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	snap := dash.Snapshot{At: time.Now()}
	p, err := d.planned(ctx, &snap)
	if err != nil {
		return snap, errors.New(d.firstOf(err))
	}
	wait := time.Duration(0)
	if d.patient {
		wait = listTime
	}
	tallies := d.following.follow(p, d.scopes(p), wait)
	memory := d.metered.read(ctx, p, d.scopes(p))
	d.bottles(p, tallies, memory, &snap)
	d.note(&snap, d.following.problems(d.patient))
	d.note(&snap, d.metered.err)
	d.proposals(p, &snap)
	return snap, nil
}

// planned plans all that can be planned, and notes what cannot.
func (d *dashSource) planned(ctx context.Context, snap *dash.Snapshot) (*planning, error) {
	var p *planning
	c, err := d.a.compile(nil, state.Read)
	if err == nil {
		p = d.a.planningOf(c, nil)
	} else {
		snap.Broken = true
		d.note(snap, err)
		p, err = d.a.sound(state.Read)
	}
	if err == nil {
		err = p.decide(ctx, false)
		if err != nil && p.seen == nil {
			return nil, contextErr(ctx, err)
		}
	}
	if err != nil && p != nil && p.plan != nil { // a workspace, say
		d.note(snap, err)
		err = nil
	}
	if err != nil {
		d.note(snap, err)
		return d.a.withoutManifests(ctx, state.Read)
	}
	if list := p.ignorance(); len(list) > 0 {
		d.note(snap, list)
	}
	var text strings.Builder
	style := p.style(d.a.stdout)
	style.Color = false
	if err := view.Plan(&text, p.plan, style); err != nil {
		return nil, err
	}
	snap.Plan, snap.Summary = text.String(), view.Summary("Plan", p.plan.Summary(), p.plan.Unchanged)
	for _, c := range p.plan.Changes {
		snap.Changes = append(snap.Changes, dash.Change{
			Agent: p.agentName(c.ID), Name: p.shownName(c.ID), Action: string(c.Action), Kept: c.Kept, Note: c.Note,
		})
	}
	return p, nil
}

// note adds what is wrong to what a snapshot tells. A line has little room: what
// is in bb's home is named from there.
func (d *dashSource) note(snap *dash.Snapshot, err error) {
	if err == nil {
		return
	}
	list := flatten(err)
	list.Sort() // of several bottles the first is always the same
	for _, x := range list {
		snap.Problems = append(snap.Problems, strings.ReplaceAll(x.Error(), d.a.g.Home+"/", ""))
	}
}

func (d *dashSource) firstOf(err error) string {
	return strings.ReplaceAll(flatten(err)[0].Error(), d.a.g.Home+"/", "")
}

// unfolded is wider than any text: the screen folds by itself.
const unfolded = 1 << 20

func (d *dashSource) proposals(p *planning, snap *dash.Snapshot) {
	all, err := d.asked.list(p)
	d.note(snap, err)
	for _, x := range all {
		one := dash.Proposal{
			ID: x.Proposal.ID, Short: short(x.Proposal.ID), Bottle: p.shownName(x.id), Labels: x.marks(),
			What: what(x.Proposal), Why: x.Proposal.Reason, Since: x.Proposal.Created, Whole: x.whole(unfolded), Digest: x.Digest,
		}
		if x.spec == nil {
			one.NoYes = "it cannot be approved: " + x.Unjudged
			one.NoMod = one.NoYes
		}
		if x.Proposal.Kind == egress.ProposePush {
			one.NoYes = "what may be pushed is the manifest's to say; n takes it off the list"
		}
		if x.Proposal.Route == nil {
			one.NoMod = "only a route can be modified"
		}
		snap.Proposals = append(snap.Proposals, one)
	}
}
