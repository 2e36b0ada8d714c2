package view

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/charmbracelet/x/ansi"
)

// Escape makes text of an agent safe to print: control characters, invisible
// and direction-changing ones are shown as escapes, so that no output of a
// bottle can move the cursor, hide a line or reorder one (attack G7).
func Escape(s string) string {
	if strings.IndexFunc(s, unsafeRune) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !unsafeRune(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// EscapeJSON does the same to encoded JSON, where unsafe characters can only be
// in strings, and leaves it JSON.
func EscapeJSON(s string) string {
	if strings.IndexFunc(s, unsafeRune) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !unsafeRune(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// unsafeRune are also those that look like nothing, as the fillers of Hangul and
// the empty pattern of Braille.
func unsafeRune(r rune) bool {
	switch {
	case r == '\t':
		return false
	case r < unicode.MaxASCII:
		return r < ' '
	}
	return !unicode.IsGraphic(r) || r == unicode.ReplacementChar || r == '\u2800' ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// OneLine is Escape for text that is shown within a line: runs of white space, by
// which it could be wrapped into lines that look like bb's, are one space.
func OneLine(s string) string { return Escape(strings.Join(strings.Fields(s), " ")) }

// Quote puts text of an agent's in quotes: where it ends is not its to say.
func Quote(s string) string { return `"` + strings.ReplaceAll(OneLine(s), `"`, `\"`) + `"` }

// Cut keeps a line within so many columns, with a mark where it went on.
func Cut(line string, columns int) string { return ansi.Truncate(line, columns, "~") }

// Fold breaks a line into pieces of so many columns. Where they begin is not for
// the text to say, so words are broken too.
func Fold(line string, columns int) []string {
	return strings.Split(ansi.Hardwrap(line, max(columns, 1), true), "\n")
}
