package dlp

import "bytes"

// undo writes src to dst without its escapes: percent-encoding, the backslashes
// of JSON and of programming languages, and HTML's entities, in any mixture.
// What an escape gives may begin another one (%2541, \\u0041, any number of
// times); digits that are themselves escaped need one more round. It returns
// the length, and whether anything was undone.
//
// With at not nil it is told, for each byte that was undone, where it went in
// dst and which bytes of src it came from.
func undo(dst, src []byte, at func(out, start, end int)) (n int, undone bool) {
	markers := [3]struct {
		c    byte
		next int
	}{{'\\', -1}, {'%', -1}, {'&', -1}}
	for r := 0; r < len(src); {
		next := len(src)
		for i := range markers {
			m := &markers[i]
			if m.next < r {
				if m.next = bytes.IndexByte(src[r:], m.c); m.next < 0 {
					m.next = len(src)
				} else {
					m.next += r
				}
			}
			next = min(next, m.next)
		}
		n += copy(dst[n:], src[r:next])
		if r = next; r == len(src) {
			break
		}
		start, c, encoded := r, src[r], false
		for {
			to, k := escape(c, src[r+1:])
			if k == 0 || encoded && isNumber(src[r+1:]) {
				break
			}
			encoded = to == '\\' && k > 1
			c, r, undone = to, r+k, true
		}
		r++
		if at != nil && r-start > 1 {
			at(n, start, r)
		}
		dst[n] = c
		n++
	}
	return n, undone
}

// isNumber says that rest begins with an escape of its own: a backslash that
// was encoded itself is not doubled by it.
func isNumber(rest []byte) bool {
	if len(rest) < 2 || rest[0] != '\\' {
		return false
	}
	_, n := backslash(rest[1:])
	return n > 1
}

// undoAll is undo until nothing changes, for values.
func undoAll(src []byte) []byte {
	for range maxRounds {
		dst := make([]byte, len(src))
		n, undone := undo(dst, src, nil)
		if src = dst[:n]; !undone {
			break
		}
	}
	return src
}

// other stands for what an escape gives that is no byte.
const other = 0xff

// escape undoes one escape: c and what follows it. It returns how many bytes
// of rest belong to it, 0 when c begins none.
func escape(c byte, rest []byte) (to byte, n int) {
	if len(rest) == 0 {
		return 0, 0
	}
	switch c {
	case '%':
		if rest[0] == 'u' || rest[0] == 'U' {
			return digits(rest, 1, 4, 4, 16)
		}
		return digits(rest, 0, 2, 2, 16)
	case '\\':
		return backslash(rest)
	case '&':
		return entity(rest)
	}
	return 0, 0
}

func backslash(rest []byte) (byte, int) {
	switch rest[0] {
	case 'n', 'r', 'v', 'f':
		return '\n', 1
	case 't', 'b', 'a', 'e':
		return ' ', 1
	case '"', '\'', '/', '\\', '`', '$', '\n':
		return rest[0], 1
	case 'u', 'x', 'U':
		if len(rest) > 1 && rest[1] == '{' {
			if c, n := digits(rest, 2, 1, 8, 16); n > 0 && n < len(rest) && rest[n] == '}' {
				return c, n + 1
			}
			return 0, 0
		}
		width := map[byte]int{'u': 4, 'x': 2, 'U': 8}[rest[0]]
		return digits(rest, 1, width, width, 16)
	}
	return digits(rest, 0, 3, 3, 8)
}

// entities are those of signs that credentials have.
var entities = map[string]byte{
	"amp;": '&', "lt;": '<', "gt;": '>', "quot;": '"', "apos;": '\'', "nbsp;": ' ',
	"sol;": '/', "plus;": '+', "equals;": '=', "lowbar;": '_', "period;": '.', "colon;": ':',
	"hyphen;": '-', "dash;": '-', "bsol;": '\\', "percnt;": '%', "num;": '#', "dollar;": '$',
}

func entity(rest []byte) (byte, int) {
	if rest[0] != '#' {
		if end := bytes.IndexByte(rest[:min(len(rest), 8)], ';'); end > 1 {
			if c, ok := entities[string(rest[:end+1])]; ok {
				return c, end + 1
			}
		}
		return 0, 0
	}
	from, base := 1, 10
	if len(rest) > 1 && (rest[1] == 'x' || rest[1] == 'X') {
		from, base = 2, 16
	}
	c, n := digits(rest, from, 1, 10, base)
	switch {
	case n == 0 || n == len(rest):
	case rest[n] == ';':
		n++
	case rest[n] == '%' || rest[n] == '\\' || rest[n] == '&':
		return 0, 0 // the number may go on with an escape: the next round knows
	}
	return c, n
}

// digits reads a number of least to most digits at rest[from:] and returns the
// byte it stands for, and where it ends; 0 when it is none.
func digits(rest []byte, from, least, most, base int) (byte, int) {
	code, i := 0, from
	for ; i < len(rest) && i-from < most; i++ {
		d := int(digit[rest[i]])
		if d >= base {
			break
		}
		code = min(code*base+d, 1<<20)
	}
	switch {
	case i-from < least:
		return 0, 0
	case code > 0xff:
		return other, i
	}
	return byte(code), i
}

// digit is the value of a digit in base 16, 255 for what is none.
var digit = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()
