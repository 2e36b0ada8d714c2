package smolvm

import (
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

func printable(s string) string { return strings.Map(plainRune, strings.TrimSpace(s)) }

func plainRune(r rune) rune {
	if r == '\n' || r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return -1
}

// plainWriter drops what could drive a terminal: the agent can write into its
// machine's console whatever it likes.
type plainWriter struct {
	w    io.Writer
	rest []byte // of a character that was cut in two
}

func (p *plainWriter) Write(b []byte) (int, error) {
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
	text := strings.Map(plainRune, string(data[:whole]))
	p.rest = slices.Clone(data[whole:])
	if _, err := io.WriteString(p.w, text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// bounded keeps the last limit bytes written to it: no output of a bottle fills
// the memory of the host.
type bounded struct {
	limit int
	data  []byte
}

func (b *bounded) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	if len(b.data) > 2*b.limit {
		b.data = append(b.data[:0], b.data[len(b.data)-b.limit:]...)
	}
	return len(p), nil
}

func (b *bounded) String() string { return string(b.data[max(0, len(b.data)-b.limit):]) }
