package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// screenTime is how long those that go on wait for a sidecar's first words: what
// it tells later is shown later.
const screenTime = 3 * time.Second

// watching follows what waits: one conversation with each sidecar, for as long as
// somebody looks.
type watching struct {
	ctx    context.Context
	cancel context.CancelFunc
	// patience is how long list waits for what a sidecar tells at first.
	patience time.Duration
	// everywhere follows bottles of other directories too.
	everywhere bool

	mu      sync.Mutex
	streams map[spec.ID]*stream
	kept    map[string]bool // proposals, by id
	// judged are what the manifests that were last looked at want of instances.
	judged   map[spec.ID]judgement
	judgedBy *planning
}

type judgement struct {
	spec *spec.Spec
	why  error // there is none
}

func newWatching(ctx context.Context) *watching {
	w := &watching{patience: screenTime, streams: map[spec.ID]*stream{}, kept: map[string]bool{}}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

func (w *watching) close() { w.cancel() }

// list follows those that are in view now, and returns what waits of them. The
// error is that of sidecars that do not tell; they are asked anew later.
func (w *watching) list(p *planning) ([]asked, error) {
	now := w.follow(p)
	if err := w.await(now); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []asked
	var errs []error
	for _, id := range byName(now) {
		s := now[id]
		for _, x := range s.waits {
			all = append(all, w.judge(p, asked{Proposal: x, Bottle: id.String(), id: id, backend: s.backend}))
		}
		errs = append(errs, s.wrong(), w.keep(p, id, s.waits))
	}
	slices.SortStableFunc(all, func(a, b asked) int { return a.Proposal.Created.Compare(b.Proposal.Created) })
	return all, errors.Join(errs...)
}

// byName orders what is told of sidecars: the same mistake is the same text.
func byName(streams map[spec.ID]*stream) []spec.ID {
	ids := make([]spec.ID, 0, len(streams))
	for id := range streams {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b spec.ID) int { return strings.Compare(a.Name(), b.Name()) })
	return ids
}

// await waits until all told what waits, or had the time to: one that is silent
// holds up nobody twice.
func (w *watching) await(now map[spec.ID]*stream) error {
	for _, s := range now {
		late := time.NewTimer(time.Until(s.began.Add(w.patience)))
		select {
		case <-s.listed:
		case <-late.C:
		case <-w.ctx.Done():
		}
		late.Stop()
	}
	return w.ctx.Err()
}

// judge puts bb's own words on a proposal, under w.mu: labels, and the digest of
// it and of the policy that it would change.
func (w *watching) judge(p *planning, x asked) asked {
	if w.judgedBy != p {
		w.judgedBy, w.judged = p, map[spec.ID]judgement{}
	}
	j, ok := w.judged[x.id]
	if !ok {
		j.spec, j.why = p.wants(x.id)
		w.judged[x.id] = j
	}
	if !slices.Contains(p.scopes.all(), x.id.Scope) {
		x.Directory, _ = p.state.ScopeDir(x.id.Scope) // "" is not known
	}
	if j.why != nil {
		x.Unjudged = j.why.Error()
		return x
	}
	x.spec = j.spec
	x.Labels = approval.Labels(x.Proposal, j.spec.Live.Routes, time.Now())
	x.Digest = approval.Digest(x.Proposal, j.spec.Live.Routes)
	return x
}

// keep keeps what is new on the host, under w.mu. What cannot be kept is tried
// again with what comes next only: a full disk is told of once.
func (w *watching) keep(p *planning, id spec.ID, waits []egress.Proposal) error {
	var list []egress.Proposal
	for _, x := range waits {
		if !w.kept[x.ID] {
			w.kept[x.ID] = true
			list = append(list, x)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return approvals(p.state).KeepAsked(w.ctx, id, list)
}

// follow begins what is not followed yet, and ends what is gone.
func (w *watching) follow(p *planning) map[spec.ID]*stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := map[spec.ID]*stream{}
	for _, o := range w.asking(p) {
		if old := w.streams[o.ID]; old != nil && old.ref == o.Sidecar.Ref && !old.due(time.Now()) {
			now[o.ID] = old
			continue
		}
		ctx, cancel := context.WithCancel(w.ctx)
		one := &stream{id: o.ID, cancel: cancel, ref: o.Sidecar.Ref, backend: o.Backend, began: time.Now(), listed: make(chan struct{})}
		one.failures = w.streams[o.ID].failed(o.Sidecar.Ref)
		now[o.ID] = one
		go w.hear(ctx, one, newTalk(ctx, p.drivers[o.Backend], o.ID))
	}
	for id, s := range w.streams {
		if now[id] != s {
			s.cancel()
		}
	}
	w.streams = now
	return now
}

// asking are the bottles that can be asked what waits: of a planning of certain
// agents, theirs.
func (w *watching) asking(p *planning) (list []plan.Instance) {
	ids := p.meant(p.want)
	for _, world := range p.seen {
		for _, o := range world.Instances {
			in := slices.Contains(ids, o.ID) || w.everywhere && len(p.want) == 0
			if in && o.State != nil && o.State.State == egress.StateConfigured && o.Sidecar != nil && supervised(o) {
				list = append(list, o)
			}
		}
	}
	return list
}
