package gitgate

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// slotPatience is how long an operation waits for others to end. A client that
// waits sees nothing, so it is not long.
const slotPatience = 2 * time.Minute

var errBusy = errors.New("too many git operations of this bottle at a time; try again")

// slots bound what runs at once, and what waits for it.
type slots struct {
	free     chan struct{}
	waiting  atomic.Int32
	patience time.Duration
}

func newSlots(n int) *slots { return &slots{free: make(chan struct{}, n), patience: slotPatience} }

// take waits for a slot: release gives it back. The error is errBusy, or ctx's.
func (s *slots) take(ctx context.Context) (release func(), err error) {
	release = func() { <-s.free }
	select {
	case s.free <- struct{}{}:
		return release, nil
	default:
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > maxWaiting {
		return nil, errBusy
	}
	late := time.NewTimer(s.patience)
	defer late.Stop()
	select {
	case s.free <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-late.C:
		return nil, errBusy
	}
}
