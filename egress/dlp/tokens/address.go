package tokens

import "bytes"

// longestUserinfo bounds the part of an address before the @.
const longestUserinfo = 256

// weak words in a password say that it protects nothing, or stands for one.
var weak = []string{"passw", "ssword", "pwd", "admin", "postgres", "mysql", "root", "guest", "test", "demo", "123", "letmein"}

// address takes the password of SCHEME://USER:PASSWORD@HOST, where it looks as
// if a machine had drawn it. People write addresses with passwords into every
// other configuration for development; those have to pass.
func address(text []byte, at, after int) (start, end int) {
	if scheme := at - runBack(text, at, 20, alnum|dash|dot|signs); scheme < 2 {
		return 0, 0
	}
	stop := min(len(text), after+longestUserinfo)
	for end = after; end < stop && text[end] != '@'; end++ {
		switch c := text[end]; {
		case c == ':' && start == 0:
			start = end + 1
		case c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte("/\\\"'`<>{}()[],?#|"), c) >= 0:
			return 0, 0
		}
	}
	if start == 0 || end >= stop || !strong(text[start:end]) {
		return 0, 0
	}
	if user := text[after : start-1]; bytes.EqualFold(user, text[start:end]) || local(text[end+1:]) {
		return 0, 0
	}
	return start, end
}

// strong says whether a password was drawn rather than thought up, or stands
// for one that is filled in later.
func strong(password []byte) bool {
	if len(password) < 10 || password[0] == '$' || !plausible(password) || entropy(password) < 3 {
		return false
	}
	for i := range password {
		if password[i] == '%' && run(password, i+1, 2, anyHex)-i != 3 {
			return false
		}
	}
	for _, w := range weak {
		if mentions(password, w) {
			return false
		}
	}
	kinds := 0
	for _, c := range [...]class{digit, upper, lower} {
		kinds += min(1, count(password, c))
	}
	return kinds >= 2
}

// local says whether a host is this machine, a name that stands for any
// (RFC 2606), or no host but the digest of an image.
func local(host []byte) bool {
	host = host[:min(len(host), 253)]
	if i := bytes.IndexAny(host, ":/?# \"'\\\n<>`"); i >= 0 {
		host = host[:i]
	}
	for _, name := range [...]string{"", "localhost", "host", "hostname", "sha256", "sha512", "[", "example.com", "example.org", "example.net"} {
		if string(host) == name {
			return true
		}
	}
	for _, end := range [...]string{".example", ".test", ".invalid", ".localhost", ".example.com", ".example.org", ".example.net"} {
		if bytes.HasSuffix(host, []byte(end)) {
			return true
		}
	}
	return bytes.HasPrefix(host, []byte("127."))
}
