package gitgate

import (
	"sync"
	"time"
)

// Notes at once, and later: a bottle can make every request fail, and each
// would be a line in a log of the host.
const (
	noteBurst = 30
	noteEvery = 10 * time.Second
)

// noter holds notes down to a rate, and says how many it left out.
type noter struct {
	to func(format string, args ...any)

	mu   sync.Mutex
	room int
	last time.Time // when room was last reckoned
	lost int
}

func newNoter(to func(string, ...any)) *noter {
	return &noter{to: to, room: noteBurst, last: time.Now()}
}

func (n *noter) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if more := int(time.Since(n.last) / noteEvery); more > 0 {
		n.room = min(noteBurst, n.room+more)
		n.last = n.last.Add(time.Duration(more) * noteEvery)
	}
	if n.room == 0 {
		n.lost++
		return
	}
	n.room--
	if n.lost > 0 {
		n.to("git gate: %d events before this one were not noted", n.lost)
		n.lost = 0
	}
	n.to(format, args...)
}
