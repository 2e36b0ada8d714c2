package leaks

import "bytes"

// assignedRule takes the place of gitleaks' generic-api-key, which takes any
// word behind a name with "key" in it: a value that looks drawn at random, in
// quotes or on the rest of a line, given to a name that says that it is secret.
// Numbers in hex (ids, digests), words and paths are not taken.
func assignedRule() *rule {
	return &rule{id: "assigned-secret", custom: assigned, keywords: []string{
		"password", "passwd", "secret", "token", "api_key", "api-key", "apikey", "access_key", "access-key", "accesskey", "auth_key", "authkey",
	}}
}

const (
	leastAssigned = 20
	mostAssigned  = 128
	// leastBits is the entropy that a drawn value has, in bits per character.
	leastBits = 3.8
)

func assigned(text []byte, _, at int) (start, end int) {
	name := at
	for at < len(text) && at < name+24 && (alnum(text[at]) || text[at] == '_' || text[at] == '-' || text[at] == '.') {
		at++
	}
	for _, harmless := range []string{"id", "name", "hash", "url", "uri", "type", "path", "file", "digest", "version"} {
		if bytes.HasSuffix(bytes.ToLower(text[name:at]), []byte(harmless)) {
			return 0, 0
		}
	}
	at = over(text, at, "\"'`] \t", 4)
	operator := at
	if at = over(text, at, ":=>", 3); at == operator {
		return 0, 0
	}
	start = over(text, at, "\"'` \t\\", 5)
	for end = start; end < len(text) && end <= start+mostAssigned && (alnum(text[end]) || bytes.IndexByte([]byte("_-+/=.~!@#$%^&*"), text[end]) >= 0); end++ {
	}
	if n := end - start; n < leastAssigned || n > mostAssigned {
		return 0, 0
	}
	if end < len(text) && bytes.IndexByte([]byte("\"'` \t\r\n;,\\}<"), text[end]) < 0 || !random(text[start:end]) {
		return 0, 0
	}
	return start, end
}

// over passes over at most most of some characters.
func over(text []byte, at int, some string, most int) int {
	for n := 0; n < most && at < len(text) && bytes.IndexByte([]byte(some), text[at]) >= 0; n++ {
		at++
	}
	return at
}

func alnum(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }

// random says whether a value was drawn: letters of both cases and digits, in
// no order, and no sequence.
func random(v []byte) bool {
	var kinds [4]int
	changes, steps := 0, 0
	last := -1
	for i, c := range v {
		k := 3
		switch {
		case '0' <= c && c <= '9':
			k = 0
		case 'a' <= c && c <= 'z':
			k = 1
		case 'A' <= c && c <= 'Z':
			k = 2
		}
		kinds[k]++
		if i > 0 && k != last {
			changes++
		}
		last = k
		if i > 0 && (v[i-1] == c || v[i-1]+1 == c) {
			steps++
		}
	}
	n := len(v)
	if kinds[0] < 2 || kinds[1] < n/8 || kinds[2] < n/8 || kinds[3] > n/4 || changes < n/3 || steps > n/4 {
		return false
	}
	low := bytes.ToLower(v)
	for _, word := range []string{"example", "your", "xxxx", "placeholder", "test", "dummy", "sample", "changeme", "secret", "token", "password", "abcdef", "123456"} {
		if bytes.Contains(low, []byte(word)) {
			return false
		}
	}
	return entropy(v) > leastBits
}
