package leaks

import (
	"bytes"
	"errors"
	"sort"

	"github.com/bot-bottle/bb/egress"
)

const (
	// piece is how much is searched at once, and lap what the next piece has
	// of the one before: more than any secret has, an RSA key of 16384 bits
	// in base64 of base64.
	piece = 4 << 20
	lap   = 64 << 10
)

// hits searches a text of at most one piece, with what is encoded and packed
// in it.
func (s *searcher) hits(text []byte) ([]egress.Hit, error) {
	_, hits, err := s.known.Body(egress.Body{Data: text})
	return hits, err
}

// text searches a text of any length, and says whether it found something. A
// few rules ask for the name of the file.
func (s *searcher) text(at place, text []byte, name string) bool {
	lines := lineCounter{text: text, line: 1}
	found := s.pieces(at, text, name, lines.of)
	if bytes.IndexByte(text, 0) >= 0 {
		if t := narrow(text); len(t.text) > 0 {
			lines := lineCounter{text: text, line: 1}
			found = s.pieces(at, t.text, name, func(i int) int { return lines.of(t.origin(i)) }) || found
		}
	}
	return found
}

// pieces searches a text; lineOf says in which line a place is.
func (s *searcher) pieces(at place, text []byte, name string, lineOf func(at int) int) (found bool) {
	for start := 0; ; start += piece - lap {
		if s.late(at) {
			return found
		}
		part := text[start:min(len(text), start+piece)]
		hits, err := s.hits(part)
		if err != nil {
			s.refuse(at.String(), "cannot be searched: "+reason(err))
			return found
		}
		for _, h := range hits {
			if !h.Known && !s.rules.concerns(h.Detector, name) {
				continue
			}
			found = true
			if !s.add(Finding{
				Object: at.object, Type: at.kind, Path: at.path, Line: lineOf(start + h.Start), Rule: h.Detector,
				Excerpt: excerpt(part, h, hits),
			}) {
				return found
			}
		}
		if start+piece >= len(text) || s.decided() {
			return found
		}
	}
}

func reason(err error) string {
	if errors.Is(err, egress.ErrTooDeep) {
		return "what is encoded or packed in it is more, or deeper, than can be looked through"
	}
	return err.Error()
}

// lineCounter tells the numbers of lines, from 1. It counts from the place that
// was asked for last: from the beginning, many finds in a long text would cost
// its length each.
type lineCounter struct {
	text     []byte
	at, line int
}

func (c *lineCounter) of(at int) int {
	at = min(at, len(c.text))
	if at >= c.at {
		c.line += bytes.Count(c.text[c.at:at], []byte("\n"))
	} else {
		c.line -= bytes.Count(c.text[at:c.at], []byte("\n"))
	}
	c.at = at
	return c.line
}

// narrowed is what was written in 16 or 32 bits a character, in 8.
type narrowed struct {
	text []byte
	runs []wideRun
}

// wideRun is small: a text may be made of runs of eight characters.
type wideRun struct{ to, from, step uint32 }

// origin is where a character was.
func (n narrowed) origin(at int) int {
	i := sort.Search(len(n.runs), func(i int) bool { return int(n.runs[i].to) > at })
	if i == 0 {
		return 0
	}
	r := n.runs[i-1]
	return int(r.from) + (at-int(r.to))*int(r.step)
}

// leastWide is the shortest run that is looked at, in characters.
const leastWide = 8

// narrow takes the texts out of data that are UTF-16 or UTF-32, in either order
// and wherever they begin: printable characters with one or three NULs between.
func narrow(data []byte) (n narrowed) {
	for i := 0; i < len(data); {
		if !printable(data[i]) || i+1 >= len(data) || data[i+1] != 0 {
			i++
			continue
		}
		step := 2
		if i+3 < len(data) && data[i+2] == 0 && data[i+3] == 0 {
			step = 4
		}
		end := i
		for end < len(data) && printable(data[end]) && zeros(data, end+1, step-1) {
			end += step
		}
		if (end-i)/step < leastWide {
			i = max(end, i+1)
			continue
		}
		n.runs = append(n.runs, wideRun{uint32(len(n.text)), uint32(i), uint32(step)}) //nolint:gosec // a text is at most maxObject long
		for k := i; k < end; k += step {
			n.text = append(n.text, data[k])
		}
		if end < len(data) && printable(data[end]) {
			n.text = append(n.text, data[end]) // the last of big-endian text
		}
		n.text = append(n.text, '\n')
		i = end
	}
	return n
}

func printable(c byte) bool {
	return ' ' <= c && c < 0x7f || c == '\n' || c == '\r' || c == '\t'
}

func zeros(data []byte, at, n int) bool {
	for k := range n {
		if at+k >= len(data) || data[at+k] != 0 {
			return false
		}
	}
	return true
}
