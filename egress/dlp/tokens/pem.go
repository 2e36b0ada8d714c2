package tokens

import "bytes"

// bounds of a private key: an Ed25519 key in PKCS #8 has 64 characters of
// base64; one of 16384 bits in RSA 12,600.
const (
	shortestKey = 56
	longestKey  = 32 << 10
)

// pem takes a private key between its lines, which may be one, or be joined by
// the \n of JSON. What ends before END has no end line: cut, but a key still.
func pem(text []byte, at, after int) (start, end int) {
	label := after
	for label < len(text) && label < after+48 && (classes[text[label]]&upper != 0 || text[label] == ' ') {
		label++
	}
	if kind := text[after:label]; !bytes.HasSuffix(kind, []byte("PRIVATE KEY")) && !bytes.HasSuffix(kind, []byte("PRIVATE KEY BLOCK")) {
		return 0, 0
	}
	body := run(text, label, 6, dash)
	if body-label != 5 {
		return 0, 0
	}
	end, chars := keyBody(text, body)
	if chars < shortestKey || !keyLike(text[body:end]) {
		return 0, 0
	}
	if rest := text[end:]; bytes.HasPrefix(rest, []byte("-----END ")) {
		if i := bytes.Index(rest[9:min(len(rest), 9+64)], []byte("-----")); i >= 0 {
			end += 9 + i + 5
		}
	}
	return at, end
}

// keyBody returns where a body of base64 with its line ends ends, and how many
// characters of base64 it has. Headers (Proc-Type, DEK-Info, Version) are
// passed over.
func keyBody(text []byte, at int) (end, chars int) {
	stop := min(len(text), at+longestKey)
	for end = at; end < stop; {
		switch c := text[end]; {
		case classes[c]&(base64Std|equals) != 0:
			chars++
			end++
		case c == '\\' && end+1 < stop && (text[end+1] == 'n' || text[end+1] == 'r' || text[end+1] == '\\'):
			end += 2
		case c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\\' || c == '"' || c == '+' || c == ',' || c == '\'':
			end++
		case c == ':' || c == '-' && !fence(text, end):
			// A header: whatever comes up to the end of its line. It cannot
			// reach over the next key, which bounds what is read twice.
			for end++; end < stop && text[end] != '\n' && text[end] != '\\' && !fence(text, end); end++ {
			}
			chars = 0
		default:
			return end, chars
		}
	}
	return end, chars
}

// fence says whether a line of PEM begins or ends at text[at:].
func fence(text []byte, at int) bool {
	return text[at] == '-' && bytes.HasPrefix(text[at:], []byte("-----"))
}

// keyLike says whether b is base64 of a key, and no prose. A key has runs of
// zero bytes, and words by chance: plausible is not for it.
func keyLike(b []byte) bool {
	return distinct(b) >= 24 && count(b, upper) >= len(b)/6 && count(b, lower) >= len(b)/6 && count(b, digit) > 0
}

// putty takes what follows "Private-Lines: N" in a file of PuTTY.
func putty(text []byte, at, after int) (start, end int) {
	head := text[after:min(len(text), after+4<<10)]
	// What lies behind the next head is its own, and not read again and again.
	if next := bytes.Index(head, text[at:after]); next >= 0 {
		head = head[:next]
	}
	i := bytes.Index(head, []byte("Private-Lines: "))
	if i < 0 {
		return 0, 0
	}
	body := after + i + len("Private-Lines: ")
	end = run(text, body, 4, digit)
	lines, _ := number(text[body:end], base36Digits[:10])
	body = end
	for range lines {
		for end < len(text) && bytes.IndexByte([]byte("\r\n\\"), text[end]) >= 0 {
			if text[end] == '\\' {
				end++ // and the letter of an escape
			}
			end = min(end+1, len(text))
		}
		line := end
		if end = run(text, line, 65, base64Std|equals); end == line {
			break
		}
	}
	if end-body < 40 || !keyLike(text[body:end]) {
		return 0, 0
	}
	return at, end
}
