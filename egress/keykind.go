package egress

import (
	"encoding/base64"
	"errors"
	"strings"
)

// MaxKey bounds a private key, in bytes.
const MaxKey = maxCredential

// CredentialKind says what a credential of a remote is.
type CredentialKind string

// Kinds of credentials, as CheckCredential knows them.
const (
	CredentialKey   CredentialKind = "key"   // the text of a private key
	CredentialAgent CredentialKind = "agent" // "ssh-agent TYPE BASE64"
	CredentialToken CredentialKind = "token" // TOKEN or USER:TOKEN
)

// KindOf tells the kind of a credential by how it begins.
func KindOf(value string) CredentialKind {
	switch {
	case isAgentKey(value):
		return CredentialAgent
	case isPrivateKey(value):
		return CredentialKey
	}
	return CredentialToken
}

// AgentCredential is the credential of a public key that an ssh-agent has; blob
// is its wire form (RFC 4253, section 6.6), which begins with its type.
func AgentCredential(keyType string, blob []byte) string {
	return agentPrefix + keyType + " " + base64.StdEncoding.EncodeToString(blob)
}

// ParseAgent returns the public key of "ssh-agent TYPE BASE64" in its wire form.
func ParseAgent(value string) (blob []byte, err error) {
	rest, ok := strings.CutPrefix(value, agentPrefix)
	if !ok {
		return nil, errAgent
	}
	if err := checkPublicKey(rest, errAgent); err != nil {
		return nil, err
	}
	_, text, _ := strings.Cut(rest, " ")
	return base64.StdEncoding.Strict().DecodeString(text)
}

// checkKeyValue judges the value of a "key:" reference: never a bare token.
func checkKeyValue(value string) error {
	if KindOf(value) == CredentialToken {
		return errors.New("the value is no private key")
	}
	return CheckCredential(value)
}
