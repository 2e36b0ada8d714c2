package leaks

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errLate says that a push costs more than its size allows.
var errLate = errors.New("takes longer to search than the size of the push allows: push it in parts, or without it")

// clock bounds the time that all objects of a push take together, so that the
// answer says what is wrong before the process that searches is ended.
type clock struct {
	bytes atomic.Int64 // that came
	mu    sync.Mutex
	spent time.Duration // by all workers
	since time.Time
	busy  int
}

func (c *clock) begin() { c.change(1) }
func (c *clock) end()   { c.change(-1) }

func (c *clock) change(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.spent += now.Sub(c.since) * time.Duration(min(c.busy, 1))
	c.since = now
	c.busy += n
}

// late says that somebody searched for most of the time that there is; waiting
// for what comes does not count.
func (c *clock) late() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	spent := c.spent
	if c.busy > 0 {
		spent += time.Since(c.since)
	}
	return spent > allowed(c.bytes.Load())*8/10
}

// late refuses the object that is searched when the time is over.
func (s *searcher) late(at place) bool {
	if !s.clock.late() {
		return false
	}
	s.refuse(at.String(), errLate.Error())
	return true
}
