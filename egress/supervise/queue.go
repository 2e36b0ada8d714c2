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
	// maxAnswers are kept for agents that ask again, for answerTime: so long the
	// same question has the same answer, and no person is asked twice (attack G6).
	maxAnswers = 2 * egress.MaxWaiting
	answerTime = 10 * time.Minute
	// leftTime is how long a request may be away that waits, and come again.
	leftTime = 10 * time.Second
)

// Errors that an agent, or who answers, is told.
var (
	ErrFull    = fmt.Errorf("%d proposals wait for a person already: wait for an answer, do not propose more", egress.MaxProposals)
	ErrMany    = errors.New("as many as there is room for wait for a person already")
	ErrGone    = errors.New("it waits no more")
	ErrExpired = errors.New("nobody answered in time")
	ErrLeft    = errors.New("it did not wait for an answer")
)

// full is what has no place any more: each kind has its own, so that none keeps
// another from a person.
func full(waiting []*Item, kind string) error {
	asks := func(kind string) bool { return kind == egress.ProposeRoute || kind == egress.ProposeCapability }
	n := 0
	for _, i := range waiting {
		if i.p.Kind == kind || asks(i.p.Kind) && asks(kind) {
			n++
		}
	}
	switch {
	case asks(kind) && n >= egress.MaxProposals:
		return ErrFull
	case kind == egress.ProposeValue && n >= egress.MaxHeld, kind == egress.ProposePush && n >= egress.MaxPushes:
		return ErrMany
	}
	return nil
}

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
	// waiters are those that wait for the answer now.
	waiters int
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
	if err := full(q.waiting, p.Kind); err != nil {
		return nil, err
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

// Wait waits for a person, so long. ok is false while nobody answered. A yes is
// told once: who asks again after it proposes anew. A no stands for answerTime.
func (q *Queue) Wait(ctx context.Context, i *Item, patience time.Duration) (a egress.Answer, ok bool, err error) {
	q.come(i)
	defer q.leave(i)
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
	if i.answer.Verdict != egress.Rejected {
		q.answered = slices.DeleteFunc(q.answered, func(x *Item) bool { return x == i })
	}
	return i.answer, i.err == nil, i.err
}

func (q *Queue) come(i *Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i.waiters++
}

// leave takes away a request that is held, and whose client hung up, once it had
// the time to come again: it could not use an answer.
func (q *Queue) leave(i *Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i.waiters--; i.waiters > 0 || i.p.Kind != egress.ProposeValue || !slices.Contains(q.waiting, i) {
		return
	}
	time.AfterFunc(leftTime, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if i.waiters == 0 && slices.Contains(q.waiting, i) {
			i.err = ErrLeft
			q.end(i, ErrLeft.Error())
		}
	})
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
			// A held request asks for itself: a yes to one before it is not its.
			if a.Verdict == egress.Rejected || i.p.Kind == egress.ProposeRoute || i.p.Kind == egress.ProposeCapability {
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
