package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/dash"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type dashboardCmd struct {
	Once bool `help:"Print one frame as text."`
}

// Run shows all bottles on one screen.
func (c *dashboardCmd) Run(ctx context.Context, a *app) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	src := &dashSource{a: a, self: self, logs: map[spec.ID]*tally{}, asked: newWatching(ctx)}
	defer src.asked.close()
	if c.Once {
		columns := 80
		if w := width(a.stdout); w != nil {
			columns = w()
		}
		text, err := dash.Once(ctx, src, columns)
		if err != nil {
			return contextErr(ctx, err)
		}
		_, err = fmt.Fprint(a.stdout, text)
		return err
	}
	if !isTerminal(a.stdin) || !isTerminal(a.stdout) {
		return diag.Errorf("bb dashboard needs a terminal").WithHint("bb dashboard --once prints one frame")
	}
	ctx, release := a.untilSignal(ctx)
	defer release()
	said, err := dash.Run(ctx, dash.Options{
		Source: src, In: a.stdin, Out: a.stdout,
		Crash: filepath.Join(a.g.Home, "logs", "dashboard-crash.log"),
	})
	for _, text := range said { // the screen took them with it
		fmt.Fprintf(a.stderr, "bb: %s\n", view.Escape(text))
	}
	return contextErr(ctx, err)
}

// dashSource looks as plan, ps and logs do. A look that fails changes nothing.
type dashSource struct {
	a    *app
	self string

	mu   sync.Mutex // one look at a time
	logs map[spec.ID]*tally
	// asked hears what waits, for as long as the screen is there.
	asked *watching
}

// Command is bb itself, in this home and with these flags.
func (d *dashSource) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.self, args...)
	cmd.Env = append(os.Environ(), "BB_HOME="+d.a.g.Home)
	if d.a.g.Backend != "" {
		cmd.Env = append(cmd.Env, "BB_BACKEND="+d.a.g.Backend)
	}
	return cmd
}

// Look takes one snapshot. Mistakes in manifests hide no bottle.
func (d *dashSource) Look(ctx context.Context) (dash.Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	snap := dash.Snapshot{At: time.Now()}
	p, err := d.a.planning(nil, state.Read)
	if err == nil {
		err = p.decide(ctx, false)
	}
	if err != nil {
		if ctx.Err() != nil {
			return snap, ctx.Err()
		}
		snap.Mistake = d.firstOf(err)
		if p, err = d.a.overseeing(ctx, state.Read); err != nil {
			return snap, errors.New(d.firstOf(err))
		}
	} else {
		var text strings.Builder
		if err := view.Plan(&text, p.plan, view.Style{HomeDir: d.a.style(d.a.stdout).HomeDir}); err != nil {
			return snap, err
		}
		snap.Plan, snap.Changes = text.String(), len(p.plan.Changes)-p.plan.Summary().Kept
	}
	if list := p.ignorance(); len(list) > 0 && snap.Mistake == "" {
		snap.Mistake = d.firstOf(list)
	}
	d.bottles(ctx, p, &snap)
	all, err := d.asked.list(p)
	if err != nil && snap.Mistake == "" {
		snap.Mistake = d.firstOf(err)
	}
	for _, x := range all {
		snap.Proposals = append(snap.Proposals, dash.Proposal{
			ID: short(x.Proposal.ID), Bottle: x.Bottle, Kind: x.Proposal.Kind, What: what(x.Proposal), Why: x.Proposal.Reason,
			Labels: x.Labels, Since: x.Proposal.Created, Digest: x.Digest,
		})
	}
	return snap, nil
}

// firstOf is the first of several mistakes, and how many there are. A line has
// little room: what is in bb's home is named from there.
func (d *dashSource) firstOf(err error) string {
	list := flatten(err)
	text := strings.ReplaceAll(list[0].Error(), d.a.g.Home+"/", "")
	if len(list) > 1 {
		text += fmt.Sprintf(" (and %d more: bb validate)", len(list)-1)
	}
	return text
}

// bottles adds the instances in view, and the declared ones that are not there.
func (d *dashSource) bottles(ctx context.Context, p *planning, snap *dash.Snapshot) {
	var work []func() error
	there := map[spec.ID]bool{}
	logs := map[spec.ID]*tally{}
	for _, w := range p.seen {
		for _, o := range w.Instances {
			if !slices.Contains(p.scopes.all(), o.ID.Scope) {
				continue
			}
			there[o.ID] = true
			t := d.logs[o.ID]
			if t == nil {
				t = &tally{id: o.ID}
			}
			logs[o.ID] = t
			t.memory = 0
			if meter, ok := p.drivers[o.Backend].(backends.Meter); ok && o.Agent != nil && o.Agent.Running {
				work = append(work, func() (err error) {
					t.memory, err = meter.Memory(ctx, o.ID)
					return err
				})
			}
			if o.Sidecar != nil && o.Sidecar.Running {
				work = append(work, func() error { return t.read(ctx, p.drivers[o.Backend]) })
			}
			b := describe(o)
			line := dash.Bottle{ID: b.ID, Agent: o.ID.Agent, Backend: b.Backend, State: b.State, Sidecar: b.Sidecar}
			if b.Created > 0 {
				line.Created = time.Unix(b.Created, 0)
			}
			snap.Bottles = append(snap.Bottles, line)
		}
	}
	d.logs = logs
	_ = atOnce(work) // a sidecar that does not answer is counted the next time
	byID := map[string]*tally{}
	for id, t := range logs {
		byID[id.String()] = t
		snap.Denials = append(snap.Denials, t.denials...)
	}
	for i, b := range snap.Bottles {
		t := byID[b.ID]
		snap.Bottles[i].Requests, snap.Bottles[i].Denials, snap.Bottles[i].Bytes = t.requests, t.denied, t.bytes
		snap.Bottles[i].Memory = t.memory
	}
	for _, c := range p.plan.Changes {
		if c.Action == plan.Create && !there[c.ID] {
			snap.Bottles = append(snap.Bottles, dash.Bottle{ID: c.ID.String(), Agent: c.ID.Agent, Backend: c.Backend, State: "not there"})
		}
	}
	slices.SortFunc(snap.Bottles, func(x, y dash.Bottle) int { return strings.Compare(x.ID, y.ID) })
	slices.SortStableFunc(snap.Denials, func(x, y dash.Denial) int { return x.At.Compare(y.At) })
}
