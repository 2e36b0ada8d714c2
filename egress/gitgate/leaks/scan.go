package leaks

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/bot-bottle/bb/egress/dlp"
	"github.com/bot-bottle/bb/egress/dlp/tokens"
)

const (
	// maxFindings bounds a report.
	maxFindings = 100
	// maxWorkers search at once, and maxInFlight bounds what they hold of
	// objects, in bytes: the process has a limit.
	maxWorkers  = 4
	maxInFlight = 64 << 20
)

// searcher is one scan.
type searcher struct {
	rules *ruleset
	known *dlp.Scanner
	// large is held by what has much in memory.
	large sync.Mutex
	clock clock
	// unpacked is what was unpacked, in bytes.
	unpacked atomic.Int64

	mu     sync.Mutex
	report Report
	seen   map[Finding]bool
}

func newSearcher(values []string) (*searcher, error) {
	rules, err := newRuleset()
	if err != nil {
		return nil, err
	}
	s := &searcher{rules: rules, seen: map[Finding]bool{}}
	s.known = dlp.NewWith(values, func(text []byte, emit func(detector string, start, end int)) {
		tokens.Find(text, emit)
		rules.find(text, emit)
	})
	return s, nil
}

// add takes a finding; false says that no more are needed.
func (s *searcher) add(f Finding) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := f
	key.Excerpt = ""
	switch {
	case s.seen[key]:
	case len(s.report.Findings) == maxFindings:
		s.report.Truncated = true
	default:
		s.seen[key] = true
		s.report.Findings = append(s.report.Findings, f)
	}
	return !s.report.Truncated
}

// refuse says why something could not be searched: what, and why.
func (s *searcher) refuse(what, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.report.Refused == "" {
		s.report.Refused = what + " " + why
	}
}

// decided says that nothing which comes changes the answer.
func (s *searcher) decided() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report.Truncated || s.report.Refused != ""
}

// Scan searches a stream of objects to its end. An error means that it was not
// searched whole: then nothing of it may pass.
//
// Objects that are trees give their names. A find whose place is a name has the
// name covered in Path. A reader that fails has to return its error: the end of
// a stream that was cut between two objects looks like any other.
func Scan(ctx context.Context, req Request, objects io.Reader) (Report, error) {
	s, err := newSearcher(req.Values)
	if err != nil {
		return Report{}, err
	}
	for _, name := range req.Refs {
		s.text(place{kind: "ref"}, []byte(name), "")
	}
	if err := s.stream(ctx, newStream(objects)); err != nil {
		return Report{}, err
	}
	return s.report, nil
}

func (s *searcher) stream(ctx context.Context, in *stream) error {
	work := make(chan object)
	free := newRoom(maxInFlight)
	var workers sync.WaitGroup
	for range min(maxWorkers, max(1, runtime.NumCPU())) {
		workers.Go(func() {
			for o := range work {
				if ctx.Err() == nil && !s.decided() {
					s.clock.begin()
					s.object(o)
					s.clock.end()
				}
				o.data = nil
				free.give(o.size)
			}
		})
	}
	defer workers.Wait()
	defer close(work)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		o, err := in.head()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		s.report.Objects++
		s.report.Bytes += o.size
		s.clock.bytes.Add(o.size)
		if o.size > maxObject {
			s.refuse(placeOf(o, s.name(o)).String(), "is larger than 64 MiB, more than is searched")
		}
		if s.decided() {
			if err := in.skip(o); err != nil {
				return err
			}
			continue
		}
		free.take(o.size)
		if err := in.content(&o); err != nil {
			return err
		}
		work <- o
		o.data = nil
	}
	return nil
}

// room bounds what is in memory.
type room struct {
	mu   sync.Mutex
	cond *sync.Cond
	left int64
}

func newRoom(n int64) *room {
	r := &room{left: n}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *room) take(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.left < n {
		r.cond.Wait()
	}
	r.left -= n
}

func (r *room) give(n int64) {
	r.mu.Lock()
	r.left += n
	r.mu.Unlock()
	r.cond.Broadcast()
}
