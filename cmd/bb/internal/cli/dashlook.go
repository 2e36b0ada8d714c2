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
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
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
	last      []*spec.Spec // that manifests wanted, when they were sound
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
	d.keep(p, snap.Broken)
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
	var broken []string
	c, err := d.a.compile(nil, state.Read)
	if err == nil {
		p, err = d.a.planningOf(c, nil)
	} else {
		snap.Broken = true
		d.note(snap, err)
		p, broken, err = d.a.sound()
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
		if p, err = d.a.withoutManifests(ctx, state.Read); err == nil {
			p.fleet.BrokenAgents = broken
		}
		return p, err
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

// keep has what waits stay in view while its agent's manifest is broken: it is
// judged by the last one that was sound.
func (d *dashSource) keep(p *planning, broken bool) {
	if !broken {
		d.last = p.specs
		return
	}
	for _, s := range d.last {
		if p.specFor(s.ID) == nil {
			if p.others == nil {
				p.others = map[spec.ID]compile.Result{}
			}
			p.others[s.ID] = compile.Result{Specs: []*spec.Spec{s}}
		}
	}
}

// sound plans for the agents whose manifests are sound, while others are broken:
// of those nothing is known but their names, and nothing is done to them.
func (a *app) sound() (*planning, []string, error) {
	st, err := state.Read(a.g.Home)
	if err != nil {
		return nil, nil, err
	}
	sc, err := a.scopes(st)
	if err != nil {
		return nil, nil, err
	}
	fleet, _ := manifest.Load(manifest.Options{Home: a.g.Home, Repo: sc.root}) // its mistakes were told
	var names []string
	broken := fleet.BrokenAgents
	for _, x := range fleet.Agents {
		if _, err := a.compile([]string{x.Name}, state.Read); err != nil {
			broken = append(broken, x.Name)
		} else {
			names = append(names, x.Name)
		}
	}
	if len(names) == 0 {
		return nil, broken, errNothingSound
	}
	p, err := a.planning(names, state.Read)
	if err != nil {
		return nil, broken, err
	}
	p.want = nil // what runs of the others is in view, as blocked
	p.fleet.BrokenAgents = broken
	return p, broken, nil
}

var errNothingSound = errors.New("no manifest is sound")

// note adds what is wrong to what a snapshot tells. A line has little room: what
// is in bb's home is named from there.
func (d *dashSource) note(snap *dash.Snapshot, err error) {
	if err == nil || errors.Is(err, errNothingSound) {
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

func (d *dashSource) proposals(p *planning, snap *dash.Snapshot) {
	all, err := d.asked.list(p)
	d.note(snap, err)
	for _, x := range all {
		one := dash.Proposal{
			ID: x.Proposal.ID, Short: short(x.Proposal.ID), Bottle: p.shownName(x.id), Labels: x.Labels,
			What: what(x.Proposal), Why: x.Proposal.Reason, Since: x.Proposal.Created, Whole: x.whole(), Digest: x.Digest,
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
