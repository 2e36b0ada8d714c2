package dlp

import (
	"hash/maphash"
	"slices"

	"github.com/bot-bottle/bb/egress"
)

// Bounds of one search. What needs more than these is refused: nobody sends it
// who does not want to hide something, or to tire the sidecar.
const (
	// maxDepth is how many times what was decoded or unpacked is decoded again:
	// three times packed and encoded, and once more for a value that is encoded
	// itself, as a JWT is.
	maxDepth = 7
	// maxRounds is how many times escapes are undone whose digits are escaped.
	maxRounds = 4
	// maxOutput bounds what is decoded and unpacked of one body, in bytes, and
	// leastOutput and outputRatio what of a small one.
	maxOutput   = 64 << 20
	leastOutput = 16 << 20
	outputRatio = 16
	// leastWork, workRatio and unpackedRatio bound what is read and written in
	// all: so many bytes, and so many for each that came in or was unpacked.
	leastWork     = 16 << 20
	workRatio     = 32
	unpackedRatio = 8
	// tryWork and decoderWork are what it costs to look at the beginning of
	// packed data, and to make a decoder.
	tryWork     = 2 << 10
	decoderWork = 64 << 10
	// maxTries bounds the places that look like the beginning of packed data.
	maxTries = 1 << 16
	// maxHits bounds what is remembered of one text; what comes after is covered
	// together.
	maxHits = 4096
	// maxKept is the largest buffer that is kept for the next search.
	maxKept = 1 << 20
)

// place says how deep a text was found.
type place struct {
	depth int // decoded and unpacked
	round int // escapes undone since
}

// search is one search: its hits, what it has used up, and its buffers.
type search struct {
	s      *Scanner
	exact  bool
	tight  bool // bounds of what was found itself, not of the run that it is in
	hits   []egress.Hit
	base   int // hits from here on are those of the text under search
	found  int // how often something was found, merged or not
	sq     []byte
	free   [][]byte
	emit   func(detector string, start, end int)
	err    error
	size   int // of what came in
	output int
	work   int
	spare  int // work that unpacked bytes allow
	tries  int
	cut    bool                // packed data ends with its text
	large  bool                // this search holds the lock of large ones
	seen   map[uint64]struct{} // long runs that were decoded
	seed   maphash.Seed
	unpack unpackers
}

func newSearch(s *Scanner) *search {
	q := &search{
		s: s, sq: make([]byte, chunk+max(s.known.longest, 1)),
		seen: map[uint64]struct{}{}, seed: maphash.MakeSeed(),
	}
	q.emit = func(detector string, start, end int) { q.add(detector, false, start, end) }
	return q
}

// start takes a search of size bytes.
func (s *Scanner) start(exact bool, size int) *search {
	q := s.searches.Get().(*search)
	q.exact, q.err, q.size, q.cut = exact, nil, size, false
	q.output, q.work, q.spare, q.tries, q.base, q.found = 0, 0, 0, 0, 0, 0
	return q
}

// stop gives a search back, without anything of what it has seen.
func (s *Scanner) stop(q *search) {
	if s.worked != nil {
		s.worked(q.work)
	}
	q.hits = q.hits[:0]
	if len(q.seen) > 0 {
		clear(q.seen)
	}
	if q.large {
		q.large = false
		s.large.Unlock()
	}
	s.searches.Put(q)
}

// layer searches one text and all that is in it. Its hits are appended to
// q.hits from q.base on, with their bounds in text.
func (q *search) layer(text []byte, p place) {
	if !q.spend(len(text)) {
		return
	}
	if !q.exact {
		q.s.patterns(text, q.emit)
	}
	q.values(text)
	if !q.tight {
		q.runs(text, p)
		q.packed(text, p)
	}
	q.escapes(text, p)
}

// inner searches what was made of text[start:end]; a hit covers all of that.
func (q *search) inner(text []byte, p place, start, end int) {
	before := q.base
	q.base = len(q.hits)
	q.layer(text, p)
	found := q.hits[q.base:]
	q.hits, q.base = q.hits[:q.base], before
	for _, h := range found {
		q.add(h.Detector, h.Known, start, end)
	}
}

// escapes searches text with its escapes undone, if it has any.
func (q *search) escapes(text []byte, p place) {
	if !marked(text) {
		return
	}
	plain := q.buffer(len(text))[:len(text)]
	defer func() { q.release(plain) }()
	n, undone := undo(plain, text, nil)
	if !undone || !q.spend(n) {
		return
	}
	if p.round == maxRounds {
		q.fail(egress.ErrTooDeep)
		return
	}
	p.round++
	before := q.base
	q.base = len(q.hits)
	q.layer(plain[:n], p)
	back(plain, text, q.hits[q.base:])
	found := q.hits[q.base:]
	q.hits, q.base = q.hits[:q.base], before
	for _, h := range found {
		q.add(h.Detector, h.Known, h.Start, h.End)
	}
}

// back maps hits in a text without escapes to the text with them.
func back(plain, text []byte, hits []egress.Hit) {
	if len(hits) == 0 {
		return
	}
	type bound struct {
		at *int
		to int
	}
	bounds := make([]bound, 0, 2*len(hits))
	for i := range hits {
		bounds = append(bounds, bound{&hits[i].Start, hits[i].Start}, bound{&hits[i].End, hits[i].End})
	}
	slices.SortFunc(bounds, func(a, b bound) int { return a.to - b.to })
	i, shift := 0, 0
	// Up to the byte at out, places differ by shift; the byte itself came from
	// text[start:end].
	undo(plain, text, func(out, start, end int) {
		for ; i < len(bounds) && bounds[i].to <= out; i++ {
			*bounds[i].at += shift
		}
		shift = end - out - 1
	})
	for ; i < len(bounds); i++ {
		*bounds[i].at += shift
	}
}

// add remembers a hit, together with those that it overlaps if they came last.
func (q *search) add(detector string, known bool, start, end int) {
	q.found++
	mine := q.hits[q.base:]
	if n := len(mine); n > 0 {
		last := &mine[n-1]
		if start < last.End && last.Start < end || n >= maxHits {
			if known && !last.Known {
				last.Detector, last.Known = detector, true
			}
			last.Start, last.End = min(start, last.Start), max(end, last.End)
			return
		}
	}
	q.hits = append(q.hits, egress.Hit{Detector: detector, Known: known, Start: start, End: end})
}

// covered says that the last hit covers these bounds already.
func (q *search) covered(start, end int) bool {
	mine := q.hits[q.base:]
	return len(mine) > 0 && mine[len(mine)-1].Start <= start && end <= mine[len(mine)-1].End &&
		mine[len(mine)-1].Known
}

// result is what was found in order, none overlapping another; nil for nothing.
func (q *search) result() []egress.Hit {
	if len(q.hits) == 0 {
		return nil
	}
	return merged(slices.Clone(q.hits))
}

// merged sorts hits and joins those that overlap. One without bounds stands for
// itself, and comes first.
func merged(hits []egress.Hit) []egress.Hit {
	slices.SortFunc(hits, func(a, b egress.Hit) int {
		if a.Start != b.Start {
			return a.Start - b.Start
		}
		return a.End - b.End
	})
	out := hits[:0]
	for _, h := range hits {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if h.Start < last.End || h.End == 0 && last.End == 0 && h.Detector == last.Detector {
				if h.Known && !last.Known {
					last.Detector, last.Known = h.Detector, true
				}
				last.End = max(last.End, h.End)
				continue
			}
		}
		out = append(out, h)
	}
	return out
}

// spend counts work, and says whether it may go on.
func (q *search) spend(n int) bool {
	if q.work += n; q.work > leastWork+workRatio*q.size+q.spare {
		q.fail(egress.ErrTooDeep)
	}
	return q.err == nil
}

// produce counts what was decoded or unpacked.
func (q *search) produce(n int) bool {
	if q.output += n; q.output > min(maxOutput, leastOutput+outputRatio*q.size) {
		q.fail(egress.ErrTooDeep)
	}
	return q.spend(n)
}

// unpacked is produce for what grows when it is decoded: the work to search it
// is none of those who sent it.
func (q *search) unpacked(n int) bool {
	q.spare += unpackedRatio * n
	return q.produce(n)
}

func (q *search) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// buffer returns an empty buffer for n bytes.
func (q *search) buffer(n int) []byte {
	if k := len(q.free); k > 0 {
		b := q.free[k-1]
		q.free = q.free[:k-1]
		if cap(b) >= n {
			return b[:0]
		}
	}
	return make([]byte, 0, max(n, 1<<10))
}

func (q *search) release(b []byte) {
	if cap(b) <= maxKept && len(q.free) < 8 {
		q.free = append(q.free, b[:0])
	}
}
