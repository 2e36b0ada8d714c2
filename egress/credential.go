package egress

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// CredentialKind says what a credential of a remote is.
type CredentialKind string

// Kinds of credentials.
const (
	// CredentialKey is the text of a private key: PEM, many lines.
	CredentialKey CredentialKind = "key"
	// CredentialAgent is "ssh-agent TYPE BASE64": a public key whose private one
	// an ssh-agent of the host has.
	CredentialAgent CredentialKind = "agent"
	// CredentialToken is anything else: TOKEN or USER:TOKEN.
	CredentialToken CredentialKind = "token"
)

// Bounds of credentials in bytes.
const (
	MaxKey       = 64 << 10
	maxPublicKey = 16 << 10
)

const (
	agentWord = "ssh-agent "
	pemBegin  = "-----BEGIN "
	pemEnd    = "-----END "
)

// KindOf tells the kind of a credential by how it begins.
func KindOf(value string) CredentialKind {
	switch {
	case strings.HasPrefix(value, pemBegin):
		return CredentialKey
	case strings.HasPrefix(value, agentWord):
		return CredentialAgent
	}
	return CredentialToken
}

// CheckCredential judges the form of a remote's credential, of whatever kind;
// whether a key is one is for who can parse keys. Errors never quote it.
func CheckCredential(value string) error {
	switch KindOf(value) {
	case CredentialKey:
		return checkKey(value)
	case CredentialAgent:
		_, _, err := ParseAgent(value)
		return err
	}
	return CheckToken(value)
}

// AgentCredential is the credential of a public key that an ssh-agent has:
// blob is its wire form (RFC 4253, 6.6).
func AgentCredential(keyType string, blob []byte) string {
	return agentWord + keyType + " " + base64.StdEncoding.EncodeToString(blob)
}

// ParseAgent takes "ssh-agent TYPE BASE64" apart.
func ParseAgent(value string) (keyType string, blob []byte, err error) {
	rest, ok := strings.CutPrefix(value, agentWord)
	if !ok || len(value) > maxPublicKey {
		return "", nil, errors.New("the value names no key of an ssh-agent")
	}
	keyType, text, _ := strings.Cut(rest, " ")
	blob, err = base64.StdEncoding.Strict().DecodeString(text)
	// The decoder passes over line breaks.
	if err != nil || strings.ContainsAny(text, "\r\n") || len(blob) < 4 {
		return "", nil, errors.New("the value names a key of an ssh-agent that is not whole")
	}
	n := binary.BigEndian.Uint32(blob)
	if n == 0 || uint64(n) > uint64(len(blob)-4) || string(blob[4:4+n]) != keyType || !plainWord(keyType) {
		return "", nil, errors.New("the value names a key of an ssh-agent as another type than it is")
	}
	return keyType, blob, nil
}

func plainWord(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.@") == "" && s != ""
}

// checkKey wants exactly one PEM block of a private key and nothing around it,
// in lines of plain text.
func checkKey(value string) error {
	if len(value) > MaxKey {
		return fmt.Errorf("the key is larger than %d KiB", MaxKey>>10)
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; (c < 0x20 || c > 0x7e) && c != '\n' && c != '\r' {
			return errors.New("the key has a byte that is no plain text")
		}
	}
	first, rest, _ := strings.Cut(value, "\n")
	first = strings.TrimSuffix(first, "\r")
	label, ok := strings.CutSuffix(strings.TrimPrefix(first, pemBegin), "-----")
	if !ok || label != "PRIVATE KEY" && !strings.HasSuffix(label, " PRIVATE KEY") {
		return errors.New("the value is no private key")
	}
	body, after, ok := strings.Cut(rest, pemEnd+label+"-----")
	switch {
	case !ok || strings.TrimSpace(body) == "":
		return errors.New("the key is not whole")
	case strings.TrimSpace(after) != "" || strings.Contains(body, pemBegin) || strings.Contains(body, pemEnd):
		return errors.New("there is more than one key")
	}
	return nil
}
