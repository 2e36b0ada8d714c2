// Package supervise lets what is inside a bottle ask a person: it keeps what is
// asked until somebody answers, serves the tools that an agent asks with, and
// speaks with the host that watches. Nothing that an agent does answers anything:
// an answer comes from the control socket alone.
package supervise

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Bounds beside those of package egress.
const (
	// maxWatchers may listen at once.
	maxWatchers = 4 // the oldest makes room for another: it may be dead
	// maxBehind events may wait for one that reads slowly; then it is cut off,
	// and learns all there is when it comes again.
	maxBehind = 4 * egress.MaxProposals
	// maxAnswers are kept for agents that ask again, for answerTime.
	maxAnswers = 2 * egress.MaxProposals
	answerTime = 10 * time.Minute
)

// Errors that an agent, or who answers, is told.
var (
	ErrFull    = fmt.Errorf("%d proposals wait for a person already: wait for an answer, do not propose more", egress.MaxProposals)
	ErrGone    = errors.New("it waits no more")
	ErrExpired = errors.New("nobody answered in time")
)

// Queue holds what waits. The zero value is not ready: see New.
type Queue struct {
	now func() time.Time

	mu       sync.Mutex
	waiting  []*Item    // oldest first
	answered []*Item    // oldest first, for those that ask again
	watchers []*Watcher // oldest first
}

// Item is one proposal.
type Item struct {
	p      egress.Proposal
	key    string
	done   chan struct{} // closed when it is answered, or gone
	answer egress.Answer
	err    error // why it is gone unanswered
	at     time.Time
	timer  *time.Timer
}

// New makes a queue.
func New() *Queue { return &Queue{now: time.Now} }

// Add has a proposal wait, until expires at the latest (zero: as long as the
// sidecar). One that asks the same as one that waits, or was answered a while
// ago, is that one.
func (q *Queue) Add(p egress.Proposal) (*Item, error) {
	p.ID, p.Created = "", time.Time{}
	key, err := keyOf(p)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.answered = slices.DeleteFunc(q.answered, func(i *Item) bool { return now.Sub(i.at) > answerTime })
	for _, list := range [][]*Item{q.waiting, q.answered} {
		for _, i := range list {
			if i.key == key {
				return i, nil
			}
		}
	}
	if len(q.waiting) >= egress.MaxProposals {
		return nil, ErrFull
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	p.ID, p.Created = hex.EncodeToString(id[:]), now.UTC()
	i := &Item{p: p, key: key, done: make(chan struct{})}
	if !p.Expires.IsZero() {
		i.timer = time.AfterFunc(p.Expires.Sub(now), func() { q.Withdraw(i, ErrExpired) })
	}
	q.waiting = append(q.waiting, i)
	q.tell(egress.SuperviseEvent{Proposal: &i.p})
	return i, nil
}

// keyOf is equal for proposals that ask the same, whatever reason they give.
func keyOf(p egress.Proposal) (string, error) {
	p.Reason, p.Expires = "", time.Time{}
	b, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// Wait waits for a person, so long. ok is false while nobody answered. An answer
// is told once: who asks again after it proposes anew.
func (q *Queue) Wait(ctx context.Context, i *Item, patience time.Duration) (a egress.Answer, ok bool, err error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-ctx.Done():
		return a, false, ctx.Err()
	case <-late.C:
		return a, false, nil
	case <-i.done:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.answered = slices.DeleteFunc(q.answered, func(x *Item) bool { return x == i })
	return i.answer, i.err == nil, i.err
}

// Answer takes a person's word. The first counts.
func (q *Queue) Answer(a egress.Answer) error {
	if a.Verdict != egress.Approved && a.Verdict != egress.Rejected {
		return errors.New("the verdict is neither approved nor rejected")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range q.waiting {
		if i.p.ID == a.ID {
			i.answer = a
			q.end(i, a.Verdict)
			// A held request asks for itself: an answer to one before it is not its.
			if i.p.Kind == egress.ProposeRoute || i.p.Kind == egress.ProposeCapability {
				q.answered = append(q.answered, i)
				q.answered = q.answered[max(0, len(q.answered)-maxAnswers):]
			}
			return nil
		}
	}
	return ErrGone
}

// Withdraw takes away one that nobody waits for any more.
func (q *Queue) Withdraw(i *Item, why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if slices.Contains(q.waiting, i) {
		i.err = why
		q.end(i, why.Error())
	}
}

// Clear takes all away: the bottle is not supervised any more.
func (q *Queue) Clear(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 {
		i := q.waiting[0]
		i.err = why
		q.end(i, why.Error())
	}
	q.answered = nil
}

// end is called with the lock.
func (q *Queue) end(i *Item, why string) {
	q.waiting = slices.DeleteFunc(q.waiting, func(x *Item) bool { return x == i })
	i.at = q.now()
	if i.timer != nil {
		i.timer.Stop()
	}
	close(i.done)
	q.tell(egress.SuperviseEvent{Gone: i.p.ID, Why: why})
}

// tell is called with the lock. Who does not keep up is cut off.
func (q *Queue) tell(e egress.SuperviseEvent) {
	for _, w := range slices.Clone(q.watchers) {
		select {
		case w.events <- e:
		default:
			q.cut(w)
		}
	}
}

// cut is called with the lock.
func (q *Queue) cut(w *Watcher) {
	if i := slices.Index(q.watchers, w); i >= 0 {
		q.watchers = slices.Delete(q.watchers, i, i+1)
		close(w.events)
	}
}

// Watcher listens to a queue.
type Watcher struct {
	q      *Queue
	events chan egress.SuperviseEvent
}

// Watch tells of all that wait, that these are all, and of what comes.
func (q *Queue) Watch() *Watcher {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.watchers) >= maxWatchers {
		q.cut(q.watchers[0])
	}
	w := &Watcher{q, make(chan egress.SuperviseEvent, len(q.waiting)+1+maxBehind)}
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
	w.q.cut(w)
}
