// Package tokens finds texts that have the form of a credential: by a literal
// that the format fixes, and then by its alphabet, its length, where it ends,
// and a checksum or inner structure where the format has one. Entropy never
// decides alone.
//
// A format is a row in a table (forge.go, ai.go, cloud.go, ...). What is no
// prefix with a body has a function of its own. Rows name the public page that
// the rule comes from; where a vendor publishes a length or an alphabet only
// by example, the row says so by being wide.
package tokens

import (
	"encoding/binary"
	"slices"
)

// Find calls emit for every text in text that has the form of a credential,
// with the name of its detector and the bounds of the credential itself.
//
// Hits come in the order of what gave them away, and may overlap: a token that
// is the password of an address is both. Find keeps nothing, is safe for
// concurrent use, and its time is linear in the length of text.
func Find(text []byte, emit func(detector string, start, end int)) {
	f := finder{text: text, emit: emit}
	marks := &index.marks
	i := 0
	// Six windows of three bytes come out of one load of eight.
	for ; i+8 <= len(text); i += 6 {
		v := binary.LittleEndian.Uint64(text[i:])
		hit := marks.has(v) | marks.has(v>>8)<<1 | marks.has(v>>16)<<2 |
			marks.has(v>>24)<<3 | marks.has(v>>32)<<4 | marks.has(v>>40)<<5
		for k := 0; hit != 0; k, hit = k+1, hit>>1 {
			if hit&1 != 0 {
				f.candidate(i + k)
			}
		}
	}
	for ; i+3 <= len(text); i++ {
		f.candidate(i)
	}
}

// Detectors returns the names that Find gives, sorted.
func Detectors() []string {
	var names []string
	for i := range formats {
		names = append(names, formats[i].name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// finder is one call of Find.
type finder struct {
	text []byte
	emit func(detector string, start, end int)
	// The last hit: two context words before one key are one find.
	name       string
	start, end int
}

// candidate tries every format with a literal at text[at:].
func (f *finder) candidate(at int) {
	for e := index.first(f.text[at:]); e != nil; e = e.next {
		rest := f.text[at:]
		if len(rest) < len(e.literal) || string(rest[:len(e.literal)]) != e.literal {
			continue
		}
		start, end := e.format.find(f.text, at, at+len(e.literal))
		if end == 0 || e.format.name == f.name && start == f.start && end == f.end {
			continue
		}
		f.name, f.start, f.end = e.format.name, start, end
		f.emit(f.name, start, end)
	}
}
