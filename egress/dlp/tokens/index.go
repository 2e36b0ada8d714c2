package tokens

import "slices"

// formats are all rows, in one list.
var formats = slices.Concat(forges, models, clouds, chats, services, keys)

// entry is one literal of one format, chained with those that begin with the
// same bytes or fall into the same slot.
type entry struct {
	literal string
	format  *format
	next    *entry
}

const (
	markBits = 16
	slotBits = 11
)

// markSet has a bit for the first three bytes of every literal: most positions
// are answered with one load. At 8 KiB it stays in the nearest cache.
type markSet [1 << (markBits - 6)]uint64

// prefilter leads from three bytes to the literals.
type prefilter struct {
	marks markSet
	slots [1 << slotBits]*entry
}

var index = build()

func build() *prefilter {
	p := new(prefilter)
	for i := range formats {
		f := &formats[i]
		for _, literal := range f.literals {
			h := hash(uint32(literal[0]) | uint32(literal[1])<<8 | uint32(literal[2])<<16)
			p.marks[h>>6] |= 1 << (h & 63)
			slot := &p.slots[h>>(markBits-slotBits)]
			*slot = &entry{literal: literal, format: f, next: *slot}
		}
	}
	return p
}

// hash mixes three bytes, the first lowest; the fourth is ignored.
func hash(v uint32) uint32 {
	return (v << 8 * 0x9E3779B1) >> (32 - markBits)
}

// has is 1 if some literal may begin with the three lowest bytes of v.
func (m *markSet) has(v uint64) uint64 {
	h := hash(uint32(v))
	return m[h>>6] >> (h & 63) & 1
}

// first returns the literals that may stand at the beginning of rest, which
// has three bytes at least.
func (p *prefilter) first(rest []byte) *entry {
	h := hash(uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16)
	return p.slots[h>>(markBits-slotBits)]
}
