package dlp

import (
	"bytes"
	"slices"
)

// isWeak says that the letters and digits of a value, in any case and with
// anything between them, may be in a text by coincidence: words, plain numbers,
// a few characters between many signs.
func isWeak(v string) bool {
	t := squeezed(v)
	distinct, kinds, changes := [256]bool{}, 0, 0
	for _, c := range t {
		if !distinct[c] {
			distinct[c] = true
			kinds++
		}
	}
	for i := 1; i < len(v); i++ {
		if kindOf(v[i]) != kindOf(v[i-1]) && kept[v[i]] != 0 && kept[v[i-1]] != 0 {
			changes++
		}
	}
	// Random characters change between letters of both cases and digits all the
	// time, and words do not.
	return len(t) < minValue || changes < len(t)/4 || kinds < 5
}

// kindOf is 0 for digits, 1 for capitals, 2 for other letters.
func kindOf(c byte) int {
	switch {
	case c <= '9':
		return 0
	case c <= 'Z':
		return 1
	}
	return 2
}

// verify looks again at a weak find in text[start:end]: it has to be the value
// with its signs, in any case, or with all of them and others between, or split
// where the value is not, which no text with the same words is, or nearly
// everywhere.
func verify(text []byte, start, end int, f *form) (s, e int, ok bool) {
	v := f.weak
	first := 0
	for kept[v[first]] == 0 {
		first++
	}
	if s := start - first; s >= 0 && s+len(v) <= len(text) && bytes.EqualFold(text[s:s+len(v)], []byte(v)) {
		return s, s + len(v), true
	}
	signs := gaps(v[first:], len(f.text))
	gaps, inside, k := 0, false, 0
	for i, j := start, first; i < end; i++ {
		if kept[text[i]] == 0 {
			continue
		}
		for kept[v[j]] == 0 {
			j++
		}
		if text[i] != v[j] {
			return 0, 0, false
		}
		if i > start && kept[text[i-1]] == 0 {
			gaps++
			inside = inside || !signs[k]
		}
		j++
		k++
	}
	return start, end, gaps >= len(f.text)/3 || inside && slices.Contains(signs, true) ||
		within(v[first:lastKept(v)+1], text[start:end])
}

// within says that text is v with more between its bytes.
func within(v string, text []byte) bool {
	for _, c := range text {
		if v != "" && c == v[0] {
			v = v[1:]
		}
	}
	return v == ""
}

func lastKept(v string) int {
	i := len(v) - 1
	for kept[v[i]] == 0 {
		i--
	}
	return i
}

// gaps says for each of n letters and digits of v whether signs stand in front.
func gaps(v string, n int) []bool {
	at := make([]bool, 0, n)
	for i := range len(v) {
		if kept[v[i]] != 0 {
			at = append(at, i > 0 && kept[v[i-1]] == 0)
		}
	}
	return at
}

// widen goes on over the signs that a value begins and ends with.
func widen(text []byte, start, end int, v string) (int, int) {
	i, j := 0, len(v)
	for i < j && kept[v[i]] == 0 {
		i++
	}
	for j > i && kept[v[j-1]] == 0 {
		j--
	}
	for ; i > 0 && start > 0 && text[start-1] == v[i-1]; i-- {
		start--
	}
	for ; j < len(v) && end < len(text) && text[end] == v[j]; j++ {
		end++
	}
	return start, end
}
