package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// A conversation that breaks is begun again after firstPause, and after twice as
// long each time until lastPause: several that watch must not chase each other.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// stream is what one sidecar told. Its fields are guarded by watching, but those
// that never change.
type stream struct {
	id      spec.ID
	cancel  context.CancelFunc
	ref     string // of the sidecar that it speaks with
	backend string
	began   time.Time
	listed  chan struct{} // closed when all that waited was told, or it broke

	waits    []egress.Proposal
	told     bool
	refused  error // something that it told
	err      error // why it ended
	ended    time.Time
	failures int // in a row before it
}

// wrong is what keeps this list from being whole.
func (s *stream) wrong() error {
	if s.err == nil && !s.told {
		return tooSilent(s.id)
	}
	return errors.Join(s.refused, s.err)
}

// due reports whether it ended, and may be begun anew.
func (s *stream) due(now time.Time) bool {
	return s.err != nil && !now.Before(s.ended.Add(min(lastPause, firstPause<<min(s.failures, 10))))
}

// failed counts how often in a row a conversation with one sidecar broke. One
// that went on for a while was none of them.
func (s *stream) failed(ref string) int {
	if s == nil || s.ref != ref || s.ended.Sub(s.began) > lastPause {
		return 0
	}
	return s.failures + 1
}

// hear keeps what a sidecar tells, until it ends, or is silent for so long that it
// must be gone.
func (w *watching) hear(ctx context.Context, s *stream, t *talk) {
	defer t.close()
	defer s.cancel()
	listed := sync.OnceFunc(func() { close(s.listed) })
	defer listed()
	for {
		soon, cancel := context.WithTimeout(ctx, silence)
		e, err := t.next(soon)
		cancel()
		w.mu.Lock()
		if err == nil {
			err = s.take(e)
		}
		if err != nil {
			s.err, s.ended = t.late(err), time.Now()
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
		if e.Listed {
			listed()
		}
	}
}

// take judges what a sidecar tells, once: bb trusts none further than the agent
// in its bottle. What no agent could have asked is left out, and told of.
func (s *stream) take(e egress.SuperviseEvent) error {
	switch {
	case e.Proposal != nil:
		if err := e.Proposal.Check(); err != nil {
			s.refused = fmt.Errorf("the sidecar of %s tells of a proposal that is none: %w", s.id, err)
			return nil
		}
		if len(s.waits) >= egress.MaxWaiting {
			return diag.Errorf("the sidecar of %s tells of more proposals than can wait", s.id)
		}
		if slices.ContainsFunc(s.waits, func(p egress.Proposal) bool { return p.ID == e.Proposal.ID }) {
			return diag.Errorf("the sidecar of %s tells of one proposal twice", s.id)
		}
		s.waits = append(s.waits, *e.Proposal)
	case e.Gone != "":
		s.waits = slices.DeleteFunc(s.waits, func(p egress.Proposal) bool { return p.ID == e.Gone })
	case e.Listed:
		s.told = true
	}
	return nil
}
