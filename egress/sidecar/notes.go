package sidecar

import (
	"fmt"
	"io"
	"sync"
)

// repeatAfter lines of events the state is said again: who looks for it reads
// the last lines of both streams, and must not miss it among events.
const repeatAfter = 3

// notes writes one line an event to standard error, keeps lines whole, and no
// token value in them.
type notes struct {
	w      io.Writer
	held   *vault
	repeat func()

	mu sync.Mutex
	n  int
}

func (n *notes) add(format string, args ...any) {
	line, _ := blank([]byte("sidecar: "+fmt.Sprintf(format, args...)), n.held.needles())
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = n.w.Write(append(line, '\n'))
	if n.n++; n.n%repeatAfter == 0 {
		n.repeat()
	}
}
