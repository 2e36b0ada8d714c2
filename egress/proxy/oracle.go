package proxy

import (
	"sync"
	"time"
)

// A verdict on a known value answers a question about it. Who asks often is
// not answered for a while.
const (
	oracleHits  = 5
	oracleSpan  = time.Minute
	oraclePause = time.Minute
)

// oracle counts the blocked hits on known values of a bottle.
type oracle struct {
	mu    sync.Mutex
	hits  []time.Time
	until time.Time
}

// hit notes one.
func (o *oracle) hit(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	recent := o.hits[:0]
	for _, t := range o.hits {
		if now.Sub(t) < oracleSpan {
			recent = append(recent, t)
		}
	}
	if o.hits = append(recent, now); len(o.hits) >= oracleHits {
		o.hits, o.until = nil, now.Add(oraclePause)
	}
}

// closed returns how long nothing is searched, and so nothing passes.
func (o *oracle) closed(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.until.Sub(now)
}
