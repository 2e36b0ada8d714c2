package dlp

import "strings"

// isWeak says that the letters and digits of a value, in any case and with
// anything between them, may be in a text by coincidence: words, plain numbers,
// a few characters between many signs.
func isWeak(v string) bool {
	t := squeezed(v)
	letters, distinct := 0, [256]bool{}
	kinds := 0
	for _, c := range t {
		if c&^0x80 > '9' {
			letters++
		}
		if !distinct[c] {
			distinct[c] = true
			kinds++
		}
	}
	// Sixteen letters in mixed case are no words either, if the case changes
	// more often than names in code do.
	if letters == len(t) && caseChanges(v) < len(t)/3 {
		return true
	}
	return len(t) < minValue || letters == 0 || kinds < 5
}

func caseChanges(v string) int {
	n := 0
	for i := 1; i < len(v); i++ {
		if kept[v[i]] != 0 && kept[v[i-1]] != 0 && (v[i]^v[i-1])&0x20 != 0 {
			n++
		}
	}
	return n
}

// verify looks again at a weak find in text[start:end]: it has to be the value
// with its signs, in one of three cases, or be split so often that it is no
// text with the same words.
func verify(text []byte, start, end int, f *form) (s, e int, ok bool) {
	v := f.weak
	before := 0 // signs in front of the first letter or digit
	for kept[v[before]] == 0 {
		before++
	}
	if s := start - before; s >= 0 && s+len(v) <= len(text) {
		at := string(text[s : s+len(v)])
		if at == v || at == strings.ToUpper(v) || at == strings.ToLower(v) {
			return s, s + len(v), true
		}
	}
	gaps, want := 0, squeezedCase(v)
	got := make([]byte, 0, len(f.text))
	for i, c := range text[start:end] {
		if kept[c] == 0 {
			if kept[text[start+i-1]] != 0 {
				gaps++
			}
			continue
		}
		got = append(got, c)
	}
	return start, end, gaps >= len(f.text)/3 && string(got) == want
}

// squeezedCase is v without its signs, in its own case.
func squeezedCase(v string) string {
	out := make([]byte, 0, len(v))
	for i := range len(v) {
		if kept[v[i]] != 0 {
			out = append(out, v[i])
		}
	}
	return string(out)
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
