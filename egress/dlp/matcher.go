package dlp

import "encoding/binary"

// matcher finds any of many forms at once in a squeezed text, and skips most of
// its bytes (Wu and Manber, "A fast algorithm for multi-pattern searching",
// 1994): a window as long as the shortest form moves over the text, and the
// four bytes at its end say how far it may move on.
type matcher struct {
	window  int
	longest int
	bits    uint
	skip    []uint8  // by hash of the block at the window's end
	head    []int32  // by hash: 1 + index of the first form whose window ends so
	next    []int32  // by form: 1 + index of the next one with the same hash
	forms   []form   // squeezed ones
	raw     []string // what would be nothing when squeezed
}

const (
	block     = 4
	maxWindow = 24
)

func newMatcher(forms []form, raw []string) *matcher {
	m := &matcher{forms: forms, raw: raw, window: maxWindow, bits: 10}
	for _, f := range forms {
		m.window, m.longest = min(m.window, len(f.text)), max(m.longest, len(f.text))
	}
	// Eight entries for every block that stops the window keep it moving.
	for m.bits < 18 && 1<<m.bits < 8*len(forms)*(m.window-block+1) {
		m.bits++
	}
	m.skip, m.head = make([]uint8, 1<<m.bits), make([]int32, 1<<m.bits)
	m.next = make([]int32, len(forms))
	for i := range m.skip {
		m.skip[i] = uint8(m.window - block + 1)
	}
	for i, f := range forms {
		for end := block; end <= m.window; end++ {
			h := m.hash(f.text[end-block : end])
			m.skip[h] = min(m.skip[h], uint8(m.window-end))
			if end == m.window {
				m.next[i], m.head[h] = m.head[h], int32(i+1)
			}
		}
	}
	return m
}

func (m *matcher) hash(b []byte) uint32 {
	return binary.LittleEndian.Uint32(b) * 2654435761 >> (32 - m.bits)
}

// find returns the next place at or after from where a form begins, and the
// longest form there; nil when there is none.
func (m *matcher) find(text []byte, from int) (int, *form) {
	skip, shift := m.skip, 32-m.bits
	for i := from + m.window; i <= len(text); {
		h := binary.LittleEndian.Uint32(text[i-block:]) * 2654435761 >> shift
		if n := skip[h]; n > 0 {
			i += int(n)
			continue
		}
		start := i - m.window
		if f := m.at(text[start:], h); f != nil {
			return start, f
		}
		i++
	}
	return 0, nil
}

func (m *matcher) at(text []byte, h uint32) *form {
	var found *form
	for i := m.head[h]; i > 0; i = m.next[i-1] {
		f := &m.forms[i-1]
		if len(f.text) <= len(text) && string(text[:len(f.text)]) == string(f.text) &&
			(found == nil || f.stronger(found)) {
			found = f
		}
	}
	return found
}
