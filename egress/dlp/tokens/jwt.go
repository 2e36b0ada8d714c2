package tokens

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// Bounds of a JWT, in characters of base64. Signatures have 32 bytes at least
// (HS256); those of RSA with 8192 bits have 1,366 characters.
const (
	longestHeader     = 1024
	longestPayload    = 16 << 10
	shortestSignature = 43
	longestSignature  = 1400
)

func jwt(text []byte, at, _ int) (start, end int) {
	if !leftAlone(text, at) {
		return 0, 0
	}
	return at, jwtEnd(text, at)
}

// jwtEnd returns where the signed JWT at text[at:] ends, or 0. Its header has
// to be JSON with an algorithm, its payload JSON, and its signature as long as
// one is: an identifier of the same shape is none, and neither is a JWT that
// nobody signed.
func jwtEnd(text []byte, at int) int {
	one := run(text, at, longestHeader, base64URL)
	if one-at < 16 || one == len(text) || text[one] != '.' {
		return 0
	}
	var header [longestHeader]byte
	n, ok := decodeURL(header[:], text[at:one])
	if !ok || !bytes.Contains(header[:n], []byte(`"alg"`)) {
		return 0
	}
	two := run(text, one+1, longestPayload, base64URL)
	if two == one+1 || two == len(text) || text[two] != '.' {
		return 0
	}
	end := run(text, two+1, longestSignature+1, base64URL)
	if last := end - two - 1; last < shortestSignature || last > longestSignature || distinct(text[two+1:end]) < 12 {
		return 0
	}
	// Five parts are something encrypted.
	if end+1 < len(text) && text[end] == '.' && classes[text[end+1]]&base64URL != 0 {
		return 0
	}
	if !signed(header[:n]) || !claims(text[one+1:two]) {
		return 0
	}
	return end
}

// signed says whether a header is JSON that names an algorithm other than
// none.
func signed(header []byte) bool {
	var h struct {
		Alg string `json:"alg"`
	}
	return json.Unmarshal(header, &h) == nil && len(h.Alg) > 1 && h.Alg != "none"
}

// claims says whether a payload is an object of JSON, and not that of the
// examples that everybody copies: the subject 1234567890, the demonstration
// keys of Supabase.
func claims(encoded []byte) bool {
	payload := make([]byte, base64.RawURLEncoding.DecodedLen(len(encoded)))
	n, ok := decodeURL(payload, encoded)
	payload = bytes.TrimSpace(payload[:n])
	return ok && len(payload) > 1 && payload[0] == '{' && json.Valid(payload) &&
		!bytes.Contains(payload, []byte(`"1234567890"`)) && !bytes.Contains(payload, []byte(`"supabase-demo"`))
}

// decodeURL decodes base64 of RFC 4648, section 5, without padding.
func decodeURL(dst, src []byte) (n int, ok bool) {
	if base64.RawURLEncoding.DecodedLen(len(src)) > len(dst) {
		return 0, false
	}
	n, err := base64.RawURLEncoding.Decode(dst, src)
	return n, err == nil
}
