package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// logKey is one log of one instance.
type logKey struct {
	id      spec.ID
	backend string
	log     string
}

var logNames = []string{egress.LogAccess, egress.LogGit}

// following reads what sidecars log, as they log it: a stream for each log, for as
// long as somebody looks. To ask anew at every look would run a command in every
// sidecar each time.
type following struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	streams map[logKey]*logStream
}

// logStream is one of them. Its fields are guarded by following.
type logStream struct {
	tally  *tally
	ref    string // of the sidecar
	cancel context.CancelFunc
	live   bool
	ended  time.Time
	err    error // why it ended, when that was no end of the sidecar's
	lost   int   // how often in a row
}

func newFollowing(ctx context.Context) *following {
	f := &following{streams: map[logKey]*logStream{}}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f
}

func (f *following) close() { f.cancel() }

// follow begins what is not followed yet, ends what is gone, and returns what was
// counted. It waits so long for those that did not read all that is there.
func (f *following) follow(p *planning, scopes []string, wait time.Duration) map[logKey]*tally {
	f.mu.Lock()
	now := map[logKey]*logStream{}
	counts := map[logKey]*tally{}
	for _, w := range p.seen {
		for _, o := range w.Instances {
			if !inScopes(scopes, o.ID) {
				continue
			}
			for _, log := range logNames {
				key := logKey{o.ID, o.Backend, log}
				if log == egress.LogGit && !p.pushes(o.ID) {
					continue
				}
				s := f.streams[key]
				if s == nil {
					s = &logStream{tally: newTally(o.ID, log)}
				}
				now[key], counts[key] = s, s.tally
				if o.Sidecar == nil || !o.Sidecar.Running {
					s.err, s.lost = nil, 0
				} else if !s.live && (s.ref != o.Sidecar.Ref || time.Since(s.ended) > reconnect) {
					s.ref = o.Sidecar.Ref
					f.begin(s, p.drivers[o.Backend])
				}
			}
		}
	}
	for key, s := range f.streams {
		if now[key] == nil && s.cancel != nil {
			s.cancel()
		}
	}
	f.streams = now
	f.mu.Unlock()
	f.await(now, wait)
	return counts
}

// begin follows one log, under f.mu.
func (f *following) begin(s *logStream, d backends.Driver) {
	ctx, cancel := context.WithCancel(f.ctx)
	s.cancel, s.live = cancel, true
	go func() {
		defer cancel()
		err := s.tally.follow(ctx, d)
		f.mu.Lock()
		defer f.mu.Unlock()
		s.live, s.ended = false, time.Now()
		if err != nil && ctx.Err() == nil {
			s.err, s.lost = err, s.lost+1
		}
	}()
}

// await gives streams that are new some time to read what is there already.
func (f *following) await(now map[logKey]*logStream, wait time.Duration) {
	late := time.NewTimer(max(wait, firstLines))
	defer late.Stop()
	for _, s := range now {
		f.mu.Lock()
		live, told := s.live, s.tally.told
		f.mu.Unlock()
		if !live {
			continue
		}
		select {
		case <-told:
		case <-late.C:
			return
		case <-f.ctx.Done():
			return
		}
	}
}

// firstLines is how long a look waits for a log that is read for the first time.
const firstLines = time.Second

// problems are those of logs that cannot be read. Once is no problem yet: a
// sidecar may have been about to end.
func (f *following) problems(first bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []error
	for _, s := range f.streams {
		if s.live {
			if s.tally.counted() {
				s.err, s.lost = nil, 0
			}
			continue
		}
		if s.err != nil && (first || s.lost > 1) {
			list = append(list, s.err)
		}
	}
	slices.SortFunc(list, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(list...)
}

// pushes reports whether an instance can have pushed anything, as far as is known.
func (p *planning) pushes(id spec.ID) bool {
	s := p.specFor(id)
	return s == nil || len(s.Live.Remotes) > 0
}
