package dlp

import "bytes"

// ascii64 are the characters that a group of base64 begins with when the first
// of its three bytes is ASCII.
var ascii64 = func() (t [256]uint8) {
	for i := range t {
		if sextet[i] < 32 {
			t[i] = 1
		}
	}
	return t
}()

// groups is how many groups in a row begin with ASCII where there is any text
// that matters: 15 bytes of it.
const groups = 5

// ways64 says at which of the four offsets a run may be base64 of something
// that is to be searched, as bits: somewhere in it there is text, or it begins
// with packed data. Short runs are looked at whole, of long ones samples.
func ways64(run []byte) (ways uint) {
	if len(run) <= shortRun {
		ways = text64(run)
	} else {
		for _, at := range [3]int{0, len(run) / 8 * 4, (len(run) - sample) / 4 * 4} {
			part := run[at : at+sample]
			for skip := range 4 {
				var buf [sample]byte
				if printable(decode64(buf[:0], part[skip:])) {
					ways |= 1 << skip
				}
			}
		}
	}
	first := run[:min(len(run), packedWithin)]
	for _, mark := range packed64 {
		if i := bytes.Index(first, mark); i >= 0 {
			ways |= 1 << (i % 4)
		}
	}
	for i := 0; i+2 < len(first); i++ {
		if a := sextet[first[i]]; a&3 == 2 && a < 32 && sextet[first[i+1]] < 16 {
			b := sextet[first[i+1]]<<4 | sextet[first[i+2]]>>2
			if isZlib(a<<2, b) {
				ways |= 1 << (i % 4)
			}
		}
	}
	return ways
}

// packedWithin is how far into a run packed data may begin: behind a path, say.
const packedWithin = 128

// packed64 are signatures (unpack.go) as base64 writes them.
var packed64 = [][]byte{[]byte("H4sI"), []byte("UEsDB"), []byte("KLUv")}

func text64(run []byte) (ways uint) {
	var row [4]uint8
	for i, c := range run {
		k := i & 3
		row[k] = (row[k] + 1) * ascii64[c]
		ways |= uint(row[k]/groups) << k
		if row[k] == groups {
			row[k] = 0
		}
	}
	return ways
}

// waysHex is ways64 for the two offsets of hex: text in a row, or packed data
// near the beginning.
func waysHex(run []byte) (ways uint) {
	var row [2]int
	for i, c := range run {
		if row[i&1]++; digit[c] > 7 {
			row[i&1] = 0
		} else if row[i&1] >= minValue {
			ways |= 1 << (i & 1)
		}
	}
	for i := 0; i+6 <= min(len(run), packedWithin); i++ {
		head := [3]byte{digit[run[i]]<<4 | digit[run[i+1]], digit[run[i+2]]<<4 | digit[run[i+3]], digit[run[i+4]]<<4 | digit[run[i+5]]}
		switch {
		case isZlib(head[0], head[1]), head == [3]byte{0x1f, 0x8b, 8}, head == [3]byte{'P', 'K', 3}, head == [3]byte{0x28, 0xb5, 0x2f}:
			ways |= 1 << (i & 1)
		}
	}
	return ways
}

// printable says that b is text: nearly all of it is ASCII that people write,
// or NUL bytes between.
func printable(b []byte) bool {
	if len(b) < 15 {
		return false
	}
	n := 0
	for _, c := range b {
		if c >= ' ' && c < 0x7f || c == '\n' || c == '\t' || c == '\r' || c == 0 {
			n++
		}
	}
	return n*10 >= len(b)*9
}

// marked says that text has a byte that an escape begins with.
func marked(text []byte) bool {
	return bytes.IndexByte(text, '\\') >= 0 || bytes.IndexByte(text, '%') >= 0 || bytes.IndexByte(text, '&') >= 0
}
