package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/bot-bottle/bb/egress"
)

// minSecret is the length from which a value is looked for in what the sidecar
// says: shorter ones occur in any text by chance.
const minSecret = 8

var (
	slotName   = regexp.MustCompile(`^EGRESS_TOKEN_[0-9]{1,4}$`)
	digestForm = regexp.MustCompile(`^[0-9A-Za-z:+/=_.-]{1,128}$`)
)

// secret is one token value with the digest by which the host knows it.
type secret struct{ value, digest string }

// vault holds the token values of the document in force, in memory only.
type vault struct {
	mu    sync.RWMutex
	slots map[string]secret
}

// secrets returns the values in force. The map is replaced, never written to.
func (v *vault) secrets() map[string]secret {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.slots
}

func (v *vault) replace(slots map[string]secret) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.slots = slots
}

// resolve turns a document's tokens into values, taking those to keep from the
// ones held now. A slot's number may change while its value stays, so a value
// is kept by digest wherever it lies. Errors name slots and quote nothing.
func (v *vault) resolve(tokens map[string]egress.Token) (map[string]secret, error) {
	held := map[string]string{}
	for _, s := range v.secrets() {
		if s.digest != "" {
			held[s.digest] = s.value
		}
	}
	slots := make(map[string]secret, len(tokens))
	for slot, token := range tokens {
		if !slotName.MatchString(slot) {
			return nil, errors.New("a token slot is not named EGRESS_TOKEN_<n>")
		}
		s, err := resolveOne(token, held)
		if err != nil {
			return nil, fmt.Errorf("token %s: %w", slot, err)
		}
		slots[slot] = s
	}
	return slots, nil
}

func resolveOne(token egress.Token, held map[string]string) (secret, error) {
	for _, digest := range []string{token.Digest, token.Keep} {
		if digest != "" && !digestForm.MatchString(digest) {
			return secret{}, errors.New("malformed digest")
		}
	}
	switch {
	case token.Value != "" && token.Keep != "":
		return secret{}, errors.New("both a value and one to keep")
	case token.Value != "" && token.Value == token.Digest:
		return secret{}, errors.New("the value is given as its own digest")
	case token.Value != "":
		return secret{token.Value, token.Digest}, egress.CheckToken(token.Value)
	case token.Keep == "":
		return secret{}, errors.New("empty value")
	case token.Digest != "" && token.Digest != token.Keep:
		return secret{}, errors.New("digest differs from the one to keep")
	}
	value, ok := held[token.Keep]
	if !ok {
		return secret{}, errors.New("the value to keep is not held")
	}
	return secret{value, token.Keep}, nil
}

// forms returns how a value may stand in text or JSON.
func (s secret) forms() [][]byte {
	forms := [][]byte{[]byte(s.value)}
	if quoted, err := json.Marshal(s.value); err == nil {
		forms = append(forms, quoted[1:len(quoted)-1])
	}
	return forms
}

// leaks tells whether text holds one of the values.
func leaks(text []byte, slots map[string]secret) bool {
	for _, s := range slots {
		for _, form := range s.forms() {
			if len(s.value) >= minSecret && bytes.Contains(text, form) {
				return true
			}
		}
	}
	return false
}

// quotes is leaks for an error's text, where even a short value counts: the
// text is worth less than the value.
func quotes(text string, slots map[string]secret) bool {
	for _, s := range slots {
		quoted := strconv.Quote(s.value)
		if strings.Contains(text, s.value) || strings.Contains(text, quoted[1:len(quoted)-1]) {
			return true
		}
	}
	return false
}

// scrub replaces the values in one encoded log line, should any occur.
func scrub(line []byte, slots map[string]secret) []byte {
	if !leaks(line, slots) {
		return line
	}
	for _, s := range slots {
		for _, form := range s.forms() {
			line = bytes.ReplaceAll(line, form, []byte("[redacted]"))
		}
	}
	return line
}
