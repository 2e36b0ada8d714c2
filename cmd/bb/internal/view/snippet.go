package view

import (
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

const longestSnippet = 160

// Snippet is the source line of a diagnostic and a caret below its column, or
// "" where there is none. A value may be a token that somebody pasted: values
// and comments are dots, unless the message itself names them.
func Snippet(d diag.Diagnostic, line string) string {
	line = strings.TrimRight(line, "\r\n")
	if d.Line == 0 || strings.TrimSpace(line) == "" || len(line) > longestSnippet || d.Col > len(line)+1 {
		return ""
	}
	out := "    " + Escape(strings.ReplaceAll(mask(line, d.Message), "\t", " ")) + "\n"
	if d.Col > 0 {
		out += "    " + strings.Repeat(" ", d.Col-1) + "^\n"
	}
	return out
}

// mask keeps structure and keys of a line of YAML, and hides the rest. It need
// not understand the line: what it does not know for a key is hidden.
func mask(line, message string) string {
	var b strings.Builder
	for rest := line; rest != ""; {
		if strings.ContainsRune(" \t{}[],:", rune(rest[0])) || strings.HasPrefix(rest, "- ") {
			b.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		n := wordEnd(rest)
		word := rest[:n]
		text := strings.TrimRight(word, " \t")
		rest = rest[n:]
		switch bare := strings.Trim(text, `"'`); {
		case strings.HasPrefix(rest, ":") && (len(rest) == 1 || strings.ContainsRune(" \t", rune(rest[1]))),
			bare != "" && strings.Contains(message, bare):
			b.WriteString(word)
		default:
			b.WriteString(strings.Repeat(".", len(text)) + word[len(text):])
		}
	}
	return b.String()
}

// wordEnd is where a key or a scalar ends: at its quote, at the colon behind a
// key, or where its item does.
func wordEnd(s string) int {
	if q := s[0]; q == '"' || q == '\'' {
		if end := strings.IndexByte(s[1:], q); end >= 0 {
			return end + 2
		}
		return len(s)
	}
	if s[0] == '#' {
		return len(s)
	}
	for i := 1; i < len(s); i++ {
		switch {
		case strings.ContainsRune(",{}[]", rune(s[i])), s[i] == '#' && s[i-1] == ' ':
			return i
		case s[i] == ':' && (i+1 == len(s) || s[i+1] == ' ' || s[i+1] == '\t'):
			return i
		}
	}
	return len(s)
}
