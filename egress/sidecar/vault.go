package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bot-bottle/bb/egress"
)

// minSecret is the length from which a value is looked for in what the sidecar
// says: shorter ones occur in any text by chance.
const minSecret = 8

var (
	slotName    = regexp.MustCompile(`^(EGRESS_TOKEN|GIT_CREDENTIAL)_[0-9]{1,4}$`)
	escapedByte = regexp.MustCompile(`%[0-9A-F]{2}`)
	digestForm  = regexp.MustCompile(`^[0-9A-Za-z:+/=_.-]{1,128}$`)
)

// secret is one token value with the digest by which the host knows it, in the
// slot that says what it may be.
type secret struct{ slot, value, digest string }

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
			return nil, errors.New("a token slot is not named EGRESS_TOKEN_<n> or GIT_CREDENTIAL_<n>")
		}
		s, err := resolveOne(slot, token, held)
		if err != nil {
			return nil, fmt.Errorf("token %s: %w", slot, err)
		}
		slots[slot] = s
	}
	return slots, nil
}

func resolveOne(slot string, token egress.Token, held map[string]string) (secret, error) {
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
		return secret{slot, token.Value, token.Digest}, egress.CheckSlot(slot, token.Value)
	case token.Keep == "":
		return secret{}, errors.New("empty value")
	case token.Digest != "" && token.Digest != token.Keep:
		return secret{}, errors.New("digest differs from the one to keep")
	}
	value, ok := held[token.Keep]
	if !ok {
		return secret{}, errors.New("the value to keep is not held")
	}
	return secret{slot, value, token.Keep}, egress.CheckSlot(slot, value)
}

// formsOf returns how a value may stand in text, JSON or a URL.
func formsOf(value string) [][]byte {
	texts := []string{value}
	for _, escape := range []func(string) string{url.PathEscape, url.QueryEscape} {
		upper := escape(value)
		texts = append(texts, upper, escapedByte.ReplaceAllStringFunc(upper, strings.ToLower))
	}
	var forms [][]byte
	for _, text := range texts {
		forms = append(forms, []byte(text))
		if quoted, err := json.Marshal(text); err == nil {
			forms = append(forms, quoted[1:len(quoted)-1])
		}
	}
	slices.SortFunc(forms, bytes.Compare)
	return slices.CompactFunc(forms, bytes.Equal)
}

// needles are the forms of all values that are looked for.
func needles(slots map[string]secret) (forms [][]byte) {
	for _, s := range slots {
		for _, needle := range egress.Needles(s.slot, s.value) {
			if len(needle) >= minSecret {
				forms = append(forms, formsOf(needle)...)
			}
		}
	}
	return forms
}

// leaks tells whether text holds one of the values.
func leaks(text []byte, slots map[string]secret) bool {
	return slices.ContainsFunc(needles(slots), func(form []byte) bool { return bytes.Contains(text, form) })
}

// quotes is leaks for an error's text, where even a short value counts: the
// text is worth less than the value.
func quotes(text string, slots map[string]secret) bool {
	for _, s := range slots {
		for _, needle := range egress.Needles(s.slot, s.value) {
			quoted := strconv.Quote(needle)
			if strings.Contains(text, needle) || strings.Contains(text, quoted[1:len(quoted)-1]) {
				return true
			}
		}
	}
	return false
}

// scrub replaces needles in one encoded log line, should any occur. A line that
// is no JSON afterwards is dropped: a value had the form of a line's own parts.
func scrub(line []byte, needles [][]byte) []byte {
	clean, found := blank(line, needles)
	if found && !json.Valid(clean) {
		return []byte(`{"error":"entry holds a value of the vault"}`)
	}
	return clean
}

// blank replaces needles in a line.
func blank(line []byte, needles [][]byte) (clean []byte, found bool) {
	for _, form := range needles {
		if bytes.Contains(line, form) {
			found = true
			line = bytes.ReplaceAll(line, form, []byte("[redacted]"))
		}
	}
	return line, found
}
