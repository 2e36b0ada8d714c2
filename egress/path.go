package egress

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// CanonicalPath decodes the escaped path of a request into the form that
// rules compare. A path that servers are known to read in two ways is an error
// (attack C2): encoded slashes, dot segments in any encoding, double encoding,
// backslashes, empty segments, what hides a dot segment ("..;x", "..%20x",
// Unicode's dots, which compatibility forms turn into "."), an encoded "?" or
// "#", control bytes, invalid UTF-8. An empty path is "/" (RFC 9110, 4.2.3).
func CanonicalPath(escaped string) (string, error) {
	if escaped == "" {
		return "/", nil
	}
	if escaped[0] != '/' {
		return "", errors.New("path does not begin with a slash")
	}
	path, err := decodePath(escaped)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(path) {
		return "", errors.New("path is not valid UTF-8")
	}
	rest := path[1:]
	for {
		segment, after, more := strings.Cut(rest, "/")
		if err := checkSegment(segment, more); err != nil {
			return "", err
		}
		if !more {
			return path, nil
		}
		rest = after
	}
}

func decodePath(escaped string) (string, error) {
	if !strings.Contains(escaped, "%") {
		return escaped, checkBytes(escaped)
	}
	var b strings.Builder
	b.Grow(len(escaped))
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c != '%' {
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(escaped) || !isHex(escaped[i+1]) || !isHex(escaped[i+2]) {
			return "", errors.New("path has a bad percent escape")
		}
		d := unhex(escaped[i+1])<<4 | unhex(escaped[i+2])
		if d == '/' {
			return "", errors.New("path has an encoded slash")
		}
		b.WriteByte(d)
		i += 2
	}
	path := b.String()
	return path, checkBytes(path)
}

func checkBytes(path string) error {
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c < 0x20 || c == 0x7f:
			return errors.New("path has a control byte")
		case c == '\\':
			return errors.New("path has a backslash")
		case c == '?' || c == '#':
			return errors.New("path has an encoded ? or #")
		case c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			return errors.New("path is percent-encoded twice")
		}
	}
	return nil
}

// checkSegment refuses what a server may drop or resolve: "", ".", ".." and
// their relatives with spaces or parameters behind them. Only the last segment
// may be empty (a trailing slash).
func checkSegment(segment string, more bool) error {
	name, _, params := strings.Cut(segment, ";")
	if name == "" {
		if more || params {
			return errors.New("path has an empty segment")
		}
		return nil
	}
	if strings.Trim(name, ". ") == "" {
		return errors.New("path has a dot segment")
	}
	if rest, ok := strings.CutPrefix(segment, ".."); ok && !isAlphanumeric(rest[0]) {
		return errors.New("path has a dot segment with something behind it")
	}
	if strings.ContainsAny(segment, lookAlikes) {
		return errors.New("path has a character that may become a dot or a space")
	}
	return nil
}

// lookAlikes turn into dots or a space under NFKC (Unicode, UAX 15), which
// some servers apply to paths.
const lookAlikes = "\uff0e\u2024\u2025\u2026\u00a0"

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// underPrefix compares at a segment boundary: "/v1" covers "/v1" and "/v1/x",
// not "/v10". Both are canonical.
func underPrefix(path, prefix string) bool {
	if !strings.HasPrefix(path, prefix) {
		return false
	}
	return len(path) == len(prefix) || strings.HasSuffix(prefix, "/") || path[len(prefix)] == '/'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
