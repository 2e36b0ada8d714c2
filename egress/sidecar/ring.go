package sidecar

import (
	"encoding/json"
	"slices"
	"sync"
)

const (
	maxLog   = 4 << 20
	maxEntry = 16 << 10
)

// ring is the access log: the latest entries, encoded, within a size.
type ring struct {
	mu      sync.Mutex
	limit   int
	size    int
	entries []json.RawMessage
}

func newRing(limit int) *ring { return &ring{limit: limit} }

// add encodes an entry and drops the oldest ones beyond the limit. An entry too
// large leaves a note of its size, so that a flood of long paths shows.
func (r *ring) add(entry any, slots map[string]secret) {
	line, err := json.Marshal(entry)
	if err != nil {
		line = []byte(`{"error":"entry cannot be encoded"}`)
	}
	line = scrub(line, slots)
	if len(line) > maxEntry {
		line, _ = json.Marshal(map[string]int{"dropped_entry_bytes": len(line)})
	}
	line = slices.Clip(line)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, line)
	r.size += len(line)
	drop := 0
	for ; r.size > r.limit; drop++ {
		r.size -= len(r.entries[drop])
		r.entries[drop] = nil
	}
	r.entries = r.entries[drop:]
}

// lines returns the entries, oldest first.
func (r *ring) lines() []json.RawMessage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]json.RawMessage{}, r.entries...)
}
