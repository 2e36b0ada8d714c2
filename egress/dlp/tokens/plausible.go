package tokens

import (
	"math"
	"math/bits"
)

// placeholders stand in examples and templates, never but by rare chance in
// what was drawn at random (a body of 40 characters: one in ten thousand).
var placeholders = []string{
	"xxxx", "example", "your", "placeholder", "redacted", "dummy", "sample",
	"changeme", "insert", "token", "secret", "apikey", "goeshere", "foobar",
}

// longestStep is how many characters in a row may follow each other in the
// alphabet, or be the same: 0000000, 1234567, abcdefg.
const longestStep = 6

// longBody is the length from which on a placeholder or a sequence comes by
// chance, and structures hold runs of zero bytes.
const longBody = 128

// plausible says whether b may have been drawn at random: not of a few
// characters only, no sequence, no placeholder. It is no measure of entropy,
// and rejects nothing else.
func plausible(b []byte) bool {
	if distinct(b) < min(10, max(4, len(b)/3)) {
		return false
	}
	if len(b) > longBody {
		return true
	}
	for _, step := range [...]int{0, 1, -1} {
		length := 1
		for i := 1; i < len(b); i++ {
			if int(b[i])-int(b[i-1]) == step {
				length++
			} else {
				length = 1
			}
			if length > longestStep {
				return false
			}
		}
	}
	for _, p := range placeholders {
		if mentions(b, p) {
			return false
		}
	}
	return true
}

// distinct returns how many different characters b has.
func distinct(b []byte) int {
	var seen [4]uint64
	for _, x := range b {
		seen[x>>6] |= 1 << (x & 63)
	}
	n := 0
	for _, s := range seen {
		n += bits.OnesCount64(s)
	}
	return n
}

// mixed is for prefixes that are words too: an identifier in camel case does
// not have this many capitals and digits.
func mixed(b []byte) bool {
	return count(b, digit) > 0 && count(b, upper) >= len(b)/8 && count(b, lower) >= len(b)/8 && plausible(b)
}

// cased is mixed for formats that do without digits; they have more capitals.
func cased(b []byte) bool {
	return count(b, upper) >= len(b)/5 && count(b, lower) >= len(b)/5 && plausible(b)
}

// entropy returns the bits per character of b by the frequency of its own
// characters.
func entropy(b []byte) float64 {
	var freq [256]int
	for _, x := range b {
		freq[x]++
	}
	sum := 0.0
	for _, n := range freq {
		if n > 0 {
			p := float64(n) / float64(len(b))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}
