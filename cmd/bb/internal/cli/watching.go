package cli

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/spec"
)

// watching follows what waits: one conversation with each sidecar, for as long as
// somebody looks.
type watching struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	streams map[spec.ID]*stream
	kept    map[string]bool // proposals, by id
}

// stream is what one sidecar told. Its fields are guarded by watching.
type stream struct {
	cancel context.CancelFunc
	ref    string        // of the sidecar that it speaks with
	listed chan struct{} // closed when all that waited was told, or it broke
	waits  []egress.Proposal
	err    error // why it ended
}

func newWatching(ctx context.Context) *watching {
	w := &watching{streams: map[spec.ID]*stream{}, kept: map[string]bool{}}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

func (w *watching) close() { w.cancel() }

// list follows those that are in view now, and returns what waits of them. The
// error is that of sidecars that do not tell; they are asked anew the next time.
func (w *watching) list(p *planning) ([]asked, error) {
	now := w.follow(p)
	late := time.NewTimer(listTime)
	defer late.Stop()
	for _, s := range now {
		select {
		case <-s.listed:
		case <-late.C:
		case <-w.ctx.Done():
			return nil, w.ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []asked
	var errs []error
	for id, s := range now {
		want := p.specFor(id)
		for _, x := range s.waits {
			all = append(all, asked{
				Proposal: x, Bottle: id.String(), Labels: approval.Labels(x, want.Live.Routes, time.Now()),
				Digest: approval.Digest(x, want.Live.Routes), id: id, spec: want,
			})
		}
		errs = append(errs, s.err, w.keep(p, id, s.waits))
	}
	slices.SortFunc(all, func(a, b asked) int { return a.Proposal.Created.Compare(b.Proposal.Created) })
	return all, errors.Join(errs...)
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
	for _, world := range p.seen {
		for _, o := range world.Instances {
			s := p.specFor(o.ID)
			if s == nil || !s.Fixed.Supervise || o.State == nil || o.State.State != egress.StateConfigured {
				continue
			}
			if old := w.streams[o.ID]; old != nil && old.err == nil && old.ref == o.Sidecar.Ref {
				now[o.ID] = old
				continue
			}
			ctx, cancel := context.WithCancel(w.ctx)
			one := &stream{cancel: cancel, ref: o.Sidecar.Ref, listed: make(chan struct{})}
			now[o.ID] = one
			go w.hear(ctx, one, newTalk(ctx, p.drivers[o.Backend], o.ID))
		}
	}
	for id, s := range w.streams {
		if now[id] != s {
			s.cancel()
		}
	}
	w.streams = now
	return now
}

// hear keeps what a sidecar tells, until it ends.
func (w *watching) hear(ctx context.Context, s *stream, t *talk) {
	defer t.close()
	defer s.cancel()
	told := sync.OnceFunc(func() { close(s.listed) })
	defer told()
	for {
		e, err := t.next(ctx)
		w.mu.Lock()
		switch {
		case err != nil:
			s.err = err
		case e.Proposal != nil:
			s.waits = append(s.waits, *e.Proposal)
		case e.Gone != "":
			s.waits = slices.DeleteFunc(s.waits, func(p egress.Proposal) bool { return p.ID == e.Gone })
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
		if e.Listed {
			told()
		}
	}
}
