package guest

import (
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable is what others wrote, without what could drive a terminal.
func Printable(s string) string { return strings.Map(PlainRune, strings.TrimSpace(s)) }

// PlainRune keeps what is text, for strings.Map.
func PlainRune(r rune) rune {
	if r == '\n' || r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return -1
}

// PlainWriter drops what could drive a terminal: the agent can write into a
// bottle's log whatever it likes.
type PlainWriter struct {
	To   io.Writer
	rest []byte // of a character that was cut in two
}

func (p *PlainWriter) Write(b []byte) (int, error) {
	data := append(p.rest, b...)
	whole := len(data)
	for i := 1; i <= min(utf8.UTFMax-1, len(data)); i++ {
		if utf8.RuneStart(data[len(data)-i]) {
			if !utf8.FullRune(data[len(data)-i:]) {
				whole = len(data) - i
			}
			break
		}
	}
	text := strings.Map(PlainRune, string(data[:whole]))
	p.rest = slices.Clone(data[whole:])
	if _, err := io.WriteString(p.To, text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Tail keeps the last bytes written to it: no output of a bottle fills the memory
// of the host.
type Tail struct {
	Limit int
	data  []byte
}

func (b *Tail) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	if len(b.data) > 2*b.Limit {
		b.data = append(b.data[:0], b.data[len(b.data)-b.Limit:]...)
	}
	return len(p), nil
}

func (b *Tail) String() string { return string(b.data[max(0, len(b.data)-b.Limit):]) }
