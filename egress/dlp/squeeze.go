package dlp

import "bytes"

// kept is what is left of a byte in a squeezed text: letters in lower case and
// digits, with the top bit set; 0 for all others.
var kept = func() (t [256]byte) {
	for c := '0'; c <= '9'; c++ {
		t[c] = byte(c) | 0x80
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = byte(c)|0x80, byte(c)|0x80
	}
	return t
}()

// squeeze writes the squeezed src to dst, which is at least as long, and
// returns its length. It writes every byte and goes on by what the table says:
// no branch to mispredict.
func squeeze(dst, src []byte) int {
	w := 0
	for len(src) >= 4 && w+4 <= len(dst) {
		a, b, c, d := kept[src[0]], kept[src[1]], kept[src[2]], kept[src[3]]
		dst[w] = a
		w += int(a >> 7)
		dst[w] = b
		w += int(b >> 7)
		dst[w] = c
		w += int(c >> 7)
		dst[w] = d
		w += int(d >> 7)
		src = src[4:]
	}
	for _, c := range src {
		if k := kept[c]; k != 0 {
			dst[w] = k
			w++
		}
	}
	return w
}

func squeezed(s string) []byte {
	dst := make([]byte, len(s))
	return dst[:squeeze(dst, []byte(s))]
}

// chunk is how much is squeezed at once: it stays in the fast cache.
const chunk = 8 << 10

// values adds the hits of known values in text.
func (q *search) values(text []byte) {
	m := q.s.known
	for _, v := range m.raw {
		q.rawValue(text, v)
	}
	if len(m.forms) == 0 {
		return
	}
	carry := 0
	for off := 0; off < len(text); off += chunk {
		part := text[off:min(off+chunk, len(text))]
		n := carry + squeeze(q.sq[carry:], part)
		at := cursor{text: text, sq: carry, raw: off}
		for from := 0; ; {
			start, f := m.find(q.sq[:n], from)
			if f == nil {
				break
			}
			from = start + 1
			if end := start + len(f.text); end > carry {
				q.value(text, at.seek(start), f)
			}
		}
		keep := min(n, m.longest-1)
		copy(q.sq, q.sq[n-keep:n])
		carry = keep
	}
}

// cursor maps places of a squeezed text back: the byte at sq is the first kept
// one at or after raw.
type cursor struct {
	text    []byte
	sq, raw int
}

func (c *cursor) seek(sq int) int {
	for c.sq > sq {
		c.raw--
		c.sq -= int(kept[c.text[c.raw]] >> 7)
	}
	for {
		k := int(kept[c.text[c.raw]] >> 7)
		if c.sq == sq && k == 1 {
			return c.raw
		}
		c.sq += k
		c.raw++
	}
}

// value adds the hit of a form that begins at text[start].
func (q *search) value(text []byte, start int, f *form) {
	end := start
	for n := len(f.text); n > 0; end++ {
		n -= int(kept[text[end]] >> 7)
	}
	if f.weak != "" {
		s, e, ok := verify(text, start, end, f)
		if !ok {
			return
		}
		start, end = s, e
	}
	switch {
	case !f.encoded:
		start, end = widen(text, start, end, f.value)
	case !q.tight:
		if q.covered(start, end) {
			return
		}
		for start > 0 && inRun[text[start-1]] {
			start--
		}
		for end < len(text) && (inRun[text[end]] || text[end] == '=') {
			end++
		}
	}
	q.add(knownValue, true, start, end)
}

// rawValue adds the hits of a value of which squeezing leaves too little.
func (q *search) rawValue(text []byte, v string) {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(v))
		if i < 0 {
			return
		}
		q.add(knownValue, true, from+i, from+i+len(v))
		from += i + 1
	}
}
