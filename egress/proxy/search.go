package proxy

// matcher finds any of a few strings at once, and skips most of the bytes that
// hold none (Wu and Manber, "A fast algorithm for multi-pattern searching",
// 1994): a window as long as the shortest string moves over the data, and the
// two bytes at its end say how far it may move on.
type matcher struct {
	window  int
	longest int
	skip    [4096]uint8 // by blockHash
	byFirst [256][]string
	// filler is a byte that no string holds: what is covered with it can be no
	// part of another.
	filler byte
}

// fillers are harmless inside JSON, HTML, URLs and CSV; the last is in no
// credential (egress.CheckToken), and in no form of one.
const fillers = "*#x-._~^X0\x7f"

// newMatcher makes one for strings that are not empty.
func newMatcher(list []string) *matcher {
	m := &matcher{window: 255}
	var used [256]bool
	for _, s := range list {
		m.window, m.longest = min(m.window, len(s)), max(m.longest, len(s))
		m.byFirst[s[0]] = append(m.byFirst[s[0]], s)
		for i := 0; i < len(s); i++ {
			used[s[i]] = true
		}
	}
	for i := range m.skip {
		m.skip[i] = uint8(max(m.window-1, 1))
	}
	for _, s := range list {
		for i := 0; i+2 <= m.window; i++ {
			h := blockHash(s[i], s[i+1])
			m.skip[h] = min(m.skip[h], uint8(m.window-2-i))
		}
	}
	for i := 0; m.filler == 0 && i < len(fillers); i++ {
		if !used[fillers[i]] {
			m.filler = fillers[i]
		}
	}
	return m
}

func blockHash(a, b byte) uint16 { return (uint16(a)<<5 ^ uint16(b)) & 4095 }

// find returns the bounds of the first string in data that begins at from or
// later, the longest if several begin there.
func (m *matcher) find(data []byte, from int) (start, end int, ok bool) {
	if m.window < 2 { // no block to go by
		for i := from; i < len(data); i++ {
			if n := m.at(data[i:]); n > 0 {
				return i, i + n, true
			}
		}
		return 0, 0, false
	}
	for i := from + m.window; i <= len(data); {
		if n := m.skip[blockHash(data[i-2], data[i-1])]; n > 0 {
			i += int(n)
			continue
		}
		start = i - m.window
		if n := m.at(data[start:]); n > 0 {
			return start, start + n, true
		}
		i++
	}
	return 0, 0, false
}

func (m *matcher) in(data []byte) bool {
	_, _, ok := m.find(data, 0)
	return ok
}

// at returns the length of the longest string that data begins with, or 0.
func (m *matcher) at(data []byte) int {
	n := 0
	for _, s := range m.byFirst[data[0]] {
		if len(s) > n && len(s) <= len(data) && string(data[:len(s)]) == s {
			n = len(s)
		}
	}
	return n
}

// tail returns where the longest end of data begins that may still become a
// string, or len(data).
func (m *matcher) tail(data []byte) int {
	for i := max(0, len(data)-m.longest+1); i < len(data); i++ {
		rest := data[i:]
		for _, s := range m.byFirst[rest[0]] {
			if len(s) > len(rest) && s[:len(rest)] == string(rest) {
				return i
			}
		}
	}
	return len(data)
}
