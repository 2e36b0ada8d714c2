package leaks

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bot-bottle/bb/egress"
)

const (
	// maxExcerpt and maxPath are in characters.
	maxExcerpt = 80
	maxPath    = 300
	// before is how much of the line in front of a secret is shown, in bytes.
	before = 48
	cover  = "****"
)

// public are the beginnings of formats that everybody knows. Of a secret no
// more than these four characters are shown.
var public = map[string]bool{
	"AKIA": true, "ASIA": true, "ghp_": true, "gho_": true, "ghu_": true, "ghs_": true, "ghr_": true, "gith": true,
	"glpa": true, "xoxb": true, "xoxp": true, "xapp": true, "sk-a": true, "sk-p": true, "sk_l": true, "rk_l": true,
	"npm_": true, "pypi": true, "AIza": true, "eyJh": true, "----": true, "dop_": true, "hvs.": true, "SG.": true,
	"AGE-": true, "glsa": true, "hf_": true,
}

// excerpt is the line of a hit in text up to the secret, clean, and nothing
// behind it. Other hits on the line are covered too.
func excerpt(text []byte, h egress.Hit, all []egress.Hit) string {
	if h.End == 0 || h.Start >= h.End || h.End > len(text) {
		return "(in what it decodes to)"
	}
	// A rule may see the middle of a secret only: what hangs on to it is not
	// shown either.
	start := h.Start
	for start > 0 && hangs(text[start-1]) {
		start--
	}
	from := max(0, start-before)
	if i := bytes.LastIndexByte(text[from:start], '\n'); i >= 0 {
		from += i + 1
	}
	for _, o := range all {
		if o.Start < h.Start && o.End > from {
			end := o.End
			for end < start && hangs(text[end]) {
				end++
			}
			from = max(from, min(end, start))
		}
	}
	shown := string(text[from:start])
	if head := string(text[h.Start:min(h.Start+4, h.End)]); !h.Known && start == h.Start && h.End-h.Start >= 12 && public[head] {
		shown += head
	}
	return clip(clean(strings.TrimLeft(shown, " \t")), maxExcerpt-len(cover)) + cover
}

func hangs(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("+/_-.%\\", c) >= 0 || c >= utf8.RuneSelf
}

// covered is text with all hits covered; one without bounds covers all.
func covered(text []byte, hits []egress.Hit) string {
	var b strings.Builder
	at := 0
	for _, h := range hits {
		if h.End == 0 || h.End > len(text) {
			return cover
		}
		start, end := h.Start, h.End
		for start > at && text[start-1] != '/' && hangs(text[start-1]) {
			start--
		}
		for end < len(text) && text[end] != '/' && hangs(text[end]) {
			end++
		}
		if start > at {
			b.Write(text[at:start])
		}
		b.WriteString(cover)
		at = max(at, end)
	}
	b.Write(text[min(at, len(text)):])
	return b.String()
}

// clean replaces what is no visible character of a line: controls, what turns
// the direction of writing, what has no width, and letters that look empty.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case ' ' <= r && r < 0x7f:
			return r
		case r < 0xa0, r == utf8.RuneError, r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0:
			return '?'
		case unicode.IsLetter(r), unicode.IsNumber(r):
			return r
		}
		return '?'
	}, s)
}

// clip keeps the last n characters: those next to the secret.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[len(r)-n:])
	}
	return s
}

func cleanPath(s string) string {
	s = clean(s)
	if r := []rune(s); len(r) > maxPath {
		return string(r[:maxPath/2]) + "..." + string(r[len(r)-maxPath/2+3:])
	}
	return s
}
