package proxy

import (
	"context"
	"errors"
	"sync"
	"time"
)

var errNoRoom = errors.New("no room for another body")

// budget bounds the bytes of all bodies that are held at once. Who waits is
// served in order.
type budget struct {
	mu      sync.Mutex
	size    int64
	used    int64
	waiting []*roomWanted
}

type roomWanted struct {
	n     int64
	ready chan struct{}
}

// take waits for room for n bytes, at most as long as wait.
func (b *budget) take(ctx context.Context, n int64, wait time.Duration) error {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.used+n <= b.size {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	if n > b.size {
		b.mu.Unlock()
		return errNoRoom
	}
	w := &roomWanted{n, make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.ready:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.waiting {
		if other == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.grant() // it may have kept smaller ones waiting
			return errNoRoom
		}
	}
	return nil // granted at the last moment
}

func (b *budget) give(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grant()
}

func (b *budget) grant() {
	for len(b.waiting) > 0 && b.used+b.waiting[0].n <= b.size {
		b.used += b.waiting[0].n
		close(b.waiting[0].ready)
		b.waiting = b.waiting[1:]
	}
}

// holding is what one request has of the budget. Not safe for concurrent use.
type holding struct {
	b    *budget
	n    int64
	wait time.Duration
}

func (h *holding) take(ctx context.Context, n int) error {
	if err := h.b.take(ctx, int64(n), h.wait); err != nil {
		return err
	}
	h.n += int64(n)
	return nil
}

func (h *holding) give(n int) {
	h.n -= int64(n)
	h.b.give(int64(n))
}

// free gives back all of it.
func (h *holding) free() {
	if h.b != nil {
		h.give(int(h.n))
	}
}

const firstRoom = 4 << 10

// room returns buf with space for at least one more byte, and a capacity of at
// most limit. It grows with what has come, not with what was announced.
func (h *holding) room(ctx context.Context, buf []byte, limit int) ([]byte, error) {
	if len(buf) < cap(buf) {
		return buf, nil
	}
	size := min(max(2*cap(buf), firstRoom), limit)
	if err := h.take(ctx, size); err != nil {
		return buf, err
	}
	more := make([]byte, len(buf), size)
	copy(more, buf)
	h.give(cap(buf))
	return more, nil
}
