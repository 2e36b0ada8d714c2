package proxy

import (
	"net/http"
	"slices"
	"strings"
)

const redacted = "[redacted]"

// redactor takes a credential out of what comes back (attack D3), in the forms
// of formsOf. Heads, those of 1xx and trailers included, are cleaned of a
// credential of any length. Bodies and WebSocket streams are searched for
// forms of minForm bytes and more: a shorter one occurs in honest data, and
// replacing it there would corrupt it.
//
// A credential that the upstream transforms is not found: encrypted, hashed,
// compressed inside a body, in another character set, spelled in parts, or
// split over the frames of a WebSocket message.
type redactor struct {
	replacer *strings.Replacer
	folded   *matcher // the forms in lower case
	body     *matcher // nil: no form is long enough
}

// newRedactor makes one for a secret and the value of the header that it is
// injected as.
func newRedactor(secret, headerValue string) *redactor {
	forms := formsOf(secret, headerValue)
	// A replacer takes the first of its pairs that fits.
	slices.SortStableFunc(forms, func(a, b string) int { return len(b) - len(a) })
	r := &redactor{}
	var pairs, lower, long []string
	for _, f := range forms {
		pairs = append(pairs, f, redacted)
		lower = append(lower, string(foldASCII(nil, f)))
		if len(f) >= minForm {
			long = append(long, f)
		}
	}
	r.replacer, r.folded = strings.NewReplacer(pairs...), newMatcher(lower)
	if len(secret) >= minForm {
		r.body = newMatcher(long)
	}
	return r
}

// bodies is the matcher for bodies, or nil where they are left alone.
func (r *redactor) bodies() *matcher {
	if r == nil {
		return nil
	}
	return r.body
}

// header cleans a head. A value in which a form is hidden (other case, escapes
// of another mixture), or would be after the replacement, is blanked.
func (r *redactor) header(h http.Header) {
	if r == nil {
		return
	}
	var buf []byte
	for name, values := range h {
		if buf = foldASCII(buf[:0], name); r.folded.in(buf) {
			delete(h, name)
			continue
		}
		for i, v := range values {
			if len(v) < r.folded.window || !r.hidden(v, &buf) {
				continue
			}
			if v = r.replacer.Replace(v); r.hidden(v, &buf) {
				v = ""
			}
			values[i] = v
		}
	}
}

// hidden looks for a form in v and in what is left when its escapes are undone.
func (r *redactor) hidden(v string, buf *[]byte) bool {
	for range 4 {
		if *buf = foldASCII((*buf)[:0], v); r.folded.in(*buf) {
			return true
		}
		if !strings.ContainsAny(v, `%\`) {
			return false
		}
		decoded := unescape(v)
		if decoded == v {
			return false
		}
		v = decoded
	}
	return false
}

// foldASCII appends s in lower case.
func foldASCII(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// unescape undoes percent encoding and the escapes of JSON strings (RFC 8259,
// 7) where it finds them, and leaves the rest as it is.
func unescape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 {
		switch {
		case s[0] == '%' && len(s) > 2:
			if n, ok := parseHex([]byte(s[1:3])); ok {
				b.WriteByte(byte(n))
				s = s[3:]
				continue
			}
		case s[0] == '\\' && len(s) > 5 && s[1] == 'u':
			if n, ok := parseHex([]byte(s[2:6])); ok {
				b.WriteRune(rune(n))
				s = s[6:]
				continue
			}
		case s[0] == '\\' && len(s) > 1:
			s = s[1:]
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}
