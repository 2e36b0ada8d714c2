package dlp

import (
	"hash/maphash"

	"github.com/bot-bottle/bb/egress"
)

const (
	// minRun is the shortest run of base64 or hex that is decoded: less holds
	// no value that was encoded once more, and no token.
	minRun = 20
	// minLine is the shortest line of a run that goes on on the next one.
	minLine = 32
	// sample is how much of a run is decoded to see whether it is one.
	sample = 192
	// shortRun is the longest run that is looked at again without a hash.
	shortRun = 1 << 10
)

// sextet is the value of a character of base64, standard or for URLs; 255 for
// what is none.
var sextet = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range byte(26) {
		t['A'+i], t['a'+i] = i, 26+i
	}
	for i := range byte(10) {
		t['0'+i] = 52 + i
	}
	t['+'], t['-'], t['/'], t['_'] = 62, 62, 63, 63
	return t
}()

// inRun are the characters of an encoded run.
var inRun = func() (t [256]bool) {
	for i := range t {
		t[i] = sextet[i] != 255
	}
	return t
}()

// runs decodes the runs of base64 and hex in text, and searches what is in
// them. Any run of minRun characters has one at a multiple of minRun.
func (q *search) runs(text []byte, p place) {
	for i := minRun - 1; i < len(text) && q.err == nil; {
		if !inRun[text[i]] {
			i += minRun
			continue
		}
		start, end := i, i+1
		for start > 0 && i-start < minRun && inRun[text[start-1]] {
			start--
		}
		for end < len(text) && inRun[text[end]] {
			end++
		}
		if end-start < minRun {
			i = end + minRun
			continue
		}
		last := joined(text, end, end-start)
		cut := q.cut
		q.run(text[start:last], p, start, last, last > end)
		if last < len(text) || start >= len(text)-overlap {
			q.cut = cut // nothing of it is behind the end of text
		}
		end = last
		i = end + minRun
	}
}

// joined goes on over the lines that follow a run's first one, which ends at
// end and is length long.
func joined(text []byte, end, length int) int {
	for length >= minLine {
		next := end
		for next < len(text) && next-end < 12 && gap[text[next]] {
			next++
		}
		line := next
		for line < len(text) && inRun[text[line]] {
			line++
		}
		if next == end || line == next {
			break
		}
		end, length = line, line-next
	}
	return end
}

// gap are what separates the lines of a run.
var gap = [256]bool{' ': true, '\n': true, '\r': true, '\t': true, '"': true, '\'': true, ',': true, '\\': true}

func (q *search) run(run []byte, p place, start, end int, lines bool) {
	if len(run) > shortRun && p.depth < maxDepth {
		key := maphash.Bytes(q.seed, run)
		if _, ok := q.seen[key]; ok {
			return
		}
		// Where something is found, it is to be covered in each place.
		defer func(before int) {
			if q.found == before {
				q.seen[key] = struct{}{}
			}
		}(q.found)
	}
	if lines {
		one := q.buffer(len(run))
		for _, c := range run {
			if !gap[c] {
				one = append(one, c)
			}
		}
		defer q.release(one)
		run = one
	}
	if q.hexes(run, p, start, end, lines) {
		return
	}
	ways := ways64(run)
	if len(run) > shortRun {
		ways |= 1 // there may be text where no sample is taken
	}
	for skip := range 4 {
		if ways>>skip&1 == 0 {
			continue
		}
		if p.depth == maxDepth {
			q.tooDeep(run[skip:])
			continue
		}
		out := decode64(q.buffer(len(run)*3/4+8), run[skip:])
		if q.produce(len(out)) {
			q.inner(out, place{depth: p.depth + 1}, start, end)
		}
		q.release(out)
	}
}

// tooDeep refuses a run that nobody looks into, if there is text in it.
func (q *search) tooDeep(run []byte) {
	var buf [sample]byte
	if out := decode64(buf[:0], run[:min(len(run), sample)]); printable(out) || hasMagic(out) {
		q.fail(egress.ErrTooDeep)
	}
}

// hexes decodes the parts of run that are hex digits only, and says whether
// that is all of it. Where the run has lines, a hit covers all of them.
func (q *search) hexes(run []byte, p place, start, end int, lines bool) bool {
	for i := minRun - 1; i < len(run) && q.err == nil; {
		if digit[run[i]] == 255 {
			i += minRun
			continue
		}
		a, b := i, i+1
		for a > 0 && i-a < minRun && digit[run[a-1]] != 255 {
			a--
		}
		for b < len(run) && digit[run[b]] != 255 {
			b++
		}
		if b-a >= minRun {
			if lines {
				q.hex(run[a:b], p, start, end)
			} else {
				q.hex(run[a:b], p, start+a, start+b)
			}
			if b-a == len(run) {
				return true
			}
		}
		i = b + minRun
	}
	return false
}

func (q *search) hex(run []byte, p place, start, end int) {
	ways := waysHex(run)
	if ways == 0 {
		return
	}
	out := q.buffer(len(run)/2 + 1)
	defer func() { q.release(out) }()
	for skip := range 2 {
		if ways>>skip&1 == 0 {
			continue
		}
		out = out[:0]
		high, odd := byte(0), false
		for _, c := range run[skip:] {
			d := digit[c]
			switch {
			case d == 255:
			case odd:
				out, odd = append(out, high<<4|d), false
			default:
				high, odd = d, true
			}
		}
		if p.depth == maxDepth {
			if printable(out[:min(len(out), sample)]) || hasMagic(out) {
				q.fail(egress.ErrTooDeep)
			}
			continue
		}
		if !q.produce(len(out)) {
			return
		}
		q.inner(out, place{depth: p.depth + 1}, start, end)
	}
}

// decode64 appends what a run of base64 decodes to, whatever else is in it.
func decode64(dst, run []byte) []byte {
	for len(run) > 0 {
		for len(run) >= 4 {
			a, b, c, d := sextet[run[0]], sextet[run[1]], sextet[run[2]], sextet[run[3]]
			if a|b|c|d > 63 {
				break
			}
			dst = append(dst, a<<2|b>>4, b<<4|c>>2, c<<6|d)
			run = run[4:]
		}
		var four [4]byte
		n := 0
		for n < 4 && len(run) > 0 {
			if s := sextet[run[0]]; s != 255 {
				four[n] = s
				n++
			}
			run = run[1:]
		}
		out := [3]byte{four[0]<<2 | four[1]>>4, four[1]<<4 | four[2]>>2, four[2]<<6 | four[3]}
		dst = append(dst, out[:max(0, n-1)]...)
	}
	return dst
}
