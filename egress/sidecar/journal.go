package sidecar

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate"
	"github.com/bot-bottle/bb/egress/proxy"
)

const (
	// maxWaiting entries wait for the writer; what comes when they do is only
	// counted. None is larger than a few kilobytes: the proxy shortens them.
	maxWaiting = 4096
	// maxBatch lines are written at once.
	maxBatch = 64 << 10
	// maxEntry bounds one line, and maxText a text of a push.
	maxEntry = 16 << 10
	maxText  = 4 << 10
	// methodDNS stands where a request has its method.
	methodDNS = "DNS"
	// Denied names that are worth lines of their own: so many at once, and one
	// more each interval.
	dnsBurst    = 50
	dnsInterval = 200 * time.Millisecond
)

// journal takes decisions from requests, and never makes one wait.
type journal struct {
	store    *store
	instance func() string
	secrets  func() map[string]secret
	waiting  chan record
	dropped  atomic.Int64
	names    *bucket
	slots    map[string]secret // the writer's: whose forms needles are
	needles  [][]byte
	ended    chan struct{}
}

// record is one entry with the values that were in force when it was made.
type record struct {
	entry any
	slots map[string]secret
}

func newJournal(s *store, instance func() string, secrets func() map[string]secret) *journal {
	j := &journal{
		store: s, instance: instance, secrets: secrets,
		waiting: make(chan record, maxWaiting), ended: make(chan struct{}),
		names: &bucket{now: time.Now, left: dnsBurst},
	}
	go j.write()
	return j
}

// add notes one decision.
func (j *journal) add(entry any) {
	switch e := entry.(type) {
	case proxy.Entry:
		e.Instance = j.instance()
		entry = e
	case gitgate.Entry:
		e.Instance = j.instance()
		for _, text := range []*string{&e.Remote, &e.Ref, &e.Old, &e.New, &e.Reason, &e.Rule, &e.Path} {
			// Not cut: half a value would not be recognised.
			if len(*text) > maxText {
				*text = fmt.Sprintf("(%d bytes)", len(*text))
			}
		}
		entry = e
	}
	select {
	case j.waiting <- record{entry, j.secrets()}:
	default:
		j.dropped.Add(1)
	}
}

// deniedName notes a name that DNS did not answer for: in the form in which the
// library writes what the agent sent, odd bytes escaped. A flood of them is
// counted only.
func (j *journal) deniedName(name string) {
	if !j.names.take() {
		j.dropped.Add(1)
		return
	}
	j.add(proxy.Entry{
		Time: time.Now(), Method: methodDNS, Host: strings.ToLower(name[:min(len(name), 1024)]), Verdict: proxy.VerdictDenied,
	})
}

// close writes what waits and ends; a disk that hangs does not hold it.
func (j *journal) close() {
	late := time.After(stopTimeout)
	select {
	case j.waiting <- record{}:
	case <-late:
		return
	}
	select {
	case <-j.ended:
		j.store.close()
	case <-late:
	}
}

// write is the only goroutine that touches the disk.
func (j *journal) write() {
	defer close(j.ended)
	var batch []byte
	for more := true; more; {
		r := <-j.waiting
		batch = batch[:0]
		for {
			if r.entry == nil {
				more = false
				break
			}
			batch = j.line(batch, r)
			if len(batch) >= maxBatch {
				break
			}
			select {
			case r = <-j.waiting:
				continue
			default:
			}
			break
		}
		if n := j.dropped.Swap(0); n > 0 {
			batch = j.line(batch, record{entry: droppedEntries{time.Now(), j.instance(), n}})
		}
		j.store.append(batch)
	}
}

// droppedEntries says that so many decisions have no line.
type droppedEntries struct {
	Time     time.Time `json:"time"`
	Instance string    `json:"instance,omitempty"`
	Dropped  int64     `json:"dropped"`
}

// line encodes an entry without any value of the vault. One that is too large
// leaves a note of its size.
func (j *journal) line(batch []byte, r record) []byte {
	line, err := json.Marshal(r.entry)
	if !maps.Equal(r.slots, j.slots) {
		j.slots, j.needles = r.slots, needles(r.slots)
	}
	line = scrub(line, j.needles)
	if err != nil {
		line = []byte(`{"error":"entry cannot be encoded"}`)
	}
	if len(line) > maxEntry {
		line, _ = json.Marshal(map[string]int{"dropped_entry_bytes": len(line)})
	}
	return append(append(batch, line...), '\n')
}

// bucket lets a burst through and then one each interval.
type bucket struct {
	mu   sync.Mutex
	now  func() time.Time
	left int
	last time.Time
}

func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if more := int(now.Sub(b.last) / dnsInterval); more > 0 {
		b.left, b.last = min(dnsBurst, b.left+more), now
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}
