package supervise

import (
	"fmt"
	"slices"

	"github.com/bot-bottle/bb/egress"
)

// MaxWatchers may listen at once. The oldest makes room for another: it may be
// dead.
const MaxWatchers = 4

// maxBehind events may wait for one that reads slowly; then it is cut off, and
// learns all there is when it comes again.
const maxBehind = 4 * egress.MaxWaiting

// tell is called with the lock. Who does not keep up is cut off.
func (q *Queue) tell(e egress.SuperviseEvent) {
	for _, w := range slices.Clone(q.watchers) {
		select {
		case w.events <- e:
		default:
			q.cut(w, "it does not keep up")
		}
	}
}

// cut is called with the lock.
func (q *Queue) cut(w *Watcher, why string) {
	if i := slices.Index(q.watchers, w); i >= 0 {
		q.watchers = slices.Delete(q.watchers, i, i+1)
		w.why = why
		close(w.events)
	}
}

// Watcher listens to a queue.
type Watcher struct {
	q      *Queue
	events chan egress.SuperviseEvent
	why    string // it was cut off; set before events is closed
}

// Watch tells of all that wait, that these are all, and of what comes.
func (q *Queue) Watch() *Watcher {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.watchers) >= MaxWatchers {
		q.cut(q.watchers[0], fmt.Sprintf("too many watch it: another came, and %d may", MaxWatchers))
	}
	w := &Watcher{q: q, events: make(chan egress.SuperviseEvent, len(q.waiting)+1+maxBehind)}
	for _, i := range q.waiting {
		p := i.p
		w.events <- egress.SuperviseEvent{Proposal: &p}
	}
	w.events <- egress.SuperviseEvent{Listed: true}
	q.watchers = append(q.watchers, w)
	return w
}

// Events ends when the watcher is closed, or did not keep up.
func (w *Watcher) Events() <-chan egress.SuperviseEvent { return w.events }

// Close stops it.
func (w *Watcher) Close() {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	w.q.cut(w, "")
}
