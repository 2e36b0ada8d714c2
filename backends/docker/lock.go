package docker

import (
	"cmp"
	"context"
	"sync"

	"github.com/bot-bottle/bb/engine/parallel"
)

// keyedLock lets one caller at a time work on a key.
type keyedLock struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// lock waits for the key or for ctx; unlock must be called when err is nil.
func (l *keyedLock) lock(ctx context.Context, key string) (unlock func(), err error) {
	for {
		l.mu.Lock()
		if l.held == nil {
			l.held = map[string]chan struct{}{}
		}
		busy, taken := l.held[key]
		if !taken {
			done := make(chan struct{})
			l.held[key] = done
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.held, key)
				l.mu.Unlock()
				close(done)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// together makes calls that need nothing of each other: on a far engine each
// is a round trip. It returns the first error in their order.
func (d *Driver) together(calls ...func() error) error {
	return cmp.Or(parallel.Run(d.at.width(len(calls)), calls...)...)
}
