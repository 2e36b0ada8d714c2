package egress

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
)

const controlKeySize = 32 // bytes

// NewControlKey makes a key for the control socket of a sidecar that others of
// its user can reach: one word of 43 letters, digits, "-" and "_".
func NewControlKey() string {
	key := make([]byte, controlKeySize)
	_, _ = rand.Read(key) // never fails
	return base64.RawURLEncoding.EncodeToString(key)
}

// ReadControlKey reads all of r, which must be such a key and nothing else.
func ReadControlKey(r io.Reader) (string, error) {
	word, err := io.ReadAll(io.LimitReader(r, 2*controlKeySize))
	if err != nil {
		return "", err
	}
	// The length says that there are no line ends, which decoding passes over.
	key, err := base64.RawURLEncoding.DecodeString(string(word))
	if err != nil || len(key) != controlKeySize || len(word) != base64.RawURLEncoding.EncodedLen(controlKeySize) {
		return "", errors.New("not a control key") // the text may be a part of one
	}
	return string(word), nil
}
