package cli

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bot-bottle/bb/backends"
)

// meterEvery is how often agents are measured: each costs the engine a call.
const meterEvery = 10 * time.Second

// meter knows what agents need.
type meter struct {
	at     time.Time
	memory map[logKey]int64
	lost   int   // how often in a row something could not be measured
	err    error // why, when that was not the first time
}

// read measures what runs now and then, and returns what was measured last.
func (m *meter) read(ctx context.Context, p *planning, scopes []string) map[logKey]int64 {
	if time.Since(m.at) < meterEvery {
		return m.memory
	}
	m.at, m.memory = time.Now(), map[logKey]int64{}
	var mu sync.Mutex
	var work []func() error
	for _, w := range p.seen {
		driver, ok := p.drivers[w.Backend].(backends.Meter)
		for _, o := range w.Instances {
			if !ok || !inScopes(scopes, o.ID) || o.Agent == nil || !o.Agent.Running {
				continue
			}
			work = append(work, func() error {
				n, err := driver.Memory(ctx, o.ID)
				mu.Lock()
				defer mu.Unlock()
				m.memory[logKey{o.ID, o.Backend, ""}] = n
				return err
			})
		}
	}
	err := atOnce(work)
	if err == nil || errors.Is(err, context.Canceled) {
		m.lost, m.err = 0, nil
		return m.memory
	}
	if m.lost++; m.lost > 1 { // one may have ended just now
		m.err = err
	}
	return m.memory
}
