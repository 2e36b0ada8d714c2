package tokens

// format is one kind of credential.
type format struct {
	// name is what a log and an answer say.
	name string
	// literals give the credential away; each has three bytes at least. In a
	// row without match they are what it begins with.
	literals []string
	// body is the alphabet of what follows, and min and max its length.
	body     class
	min, max int
	// check judges the body: checksum, structure, or plausible. Never nil in a
	// row without match.
	check func(body []byte) bool
	// alone asks for more than the edge of a word on the left: a hyphen there
	// joins, as in "cache-key-".
	alone bool
	// context is a word, in lower case, that has to stand nearby, for formats
	// that others share.
	context string
	// match replaces all of the above: the literal is text[at:after], and end
	// is 0 if there is no credential.
	match func(text []byte, at, after int) (start, end int)
}

// nearby is how far a context word may stand from what it speaks of.
const nearby = 160

// find returns the bounds of the credential given away by the literal
// text[at:after], or an end of 0.
func (f *format) find(text []byte, at, after int) (start, end int) {
	if f.match != nil {
		return f.match(text, at, after)
	}
	if !leftEdge(text, at) || f.alone && !leftAlone(text, at) {
		return 0, 0
	}
	end = run(text, after, f.max+1, f.body)
	if n := end - after; n < f.min || n > f.max || !rightEdge(text, end) || !f.check(text[after:end]) {
		return 0, 0
	}
	if f.context != "" && !mentions(text[max(0, at-nearby):min(len(text), end+nearby)], f.context) {
		return 0, 0
	}
	return at, end
}

// run returns the end of the characters of a class from start on, at most most
// of them.
func run(text []byte, start, most int, c class) int {
	stop := min(len(text), start+most)
	for start < stop && classes[text[start]]&c != 0 {
		start++
	}
	return start
}

// runBack returns the start of the characters of a class that end before end.
func runBack(text []byte, end, most int, c class) int {
	stop := max(0, end-most)
	for end > stop && classes[text[end-1]]&c != 0 {
		end--
	}
	return end
}

// leftEdge says whether no word reaches up to text[at:]. An escape of JSON
// (\n, \u003d) or of an address (%3D) ends a word although its last character
// is a letter.
func leftEdge(text []byte, at int) bool {
	if at == 0 || classes[text[at-1]]&word == 0 {
		return true
	}
	if at >= 2 && text[at-2] == '\\' {
		switch text[at-1] {
		case 'n', 'r', 't', 'b', 'f':
			return true
		}
	}
	if at >= 3 && text[at-3] == '%' && run(text, at-2, 2, anyHex) == at {
		return true
	}
	return at >= 6 && text[at-6] == '\\' && text[at-5] == 'u' && run(text, at-4, 4, anyHex) == at
}

// leftAlone is leftEdge where a hyphen or a full stop joins too, unless it
// begins a line, as in a diff.
func leftAlone(text []byte, at int) bool {
	if at > 0 && text[at-1] == '-' {
		return leftEdge(text, at-1) && (at == 1 || classes[text[at-2]]&(dash|dot) == 0)
	}
	return leftEdge(text, at) && (at == 0 || text[at-1] != '.')
}

// rightEdge says whether no word goes on at text[at:].
func rightEdge(text []byte, at int) bool {
	return at == len(text) || classes[text[at]]&word == 0
}

// inBlob says whether text[start:end] is cut out of base64: a sign of base64
// beside it that no word could end on, and more base64 behind that.
func inBlob(text []byte, start, end int) bool {
	const far = 12
	if start > 0 && classes[text[start-1]]&signs != 0 && start-runBack(text, start, far, base64Std) == far {
		return true
	}
	return end < len(text) && classes[text[end]]&signs != 0 && run(text, end, far, base64Std)-end == far
}

// mentions looks for a word in lower case, whatever the case in text.
func mentions(text []byte, lower string) bool {
	for i := 0; i+len(lower) <= len(text); i++ {
		k := 0
		for k < len(lower) && fold(text[i+k]) == lower[k] {
			k++
		}
		if k == len(lower) {
			return true
		}
	}
	return false
}

// fold returns the lower case of an ASCII letter, and other bytes as they are.
func fold(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
