package egress

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
)

// maxCredential bounds the credential of a remote, in bytes.
const maxCredential = 64 << 10

// agentPrefix begins a credential that is no secret: a public key whose private
// one an ssh-agent of the host has.
const agentPrefix = "ssh-agent "

var (
	keyType  = regexp.MustCompile(`^[a-z0-9][a-z0-9@.-]{0,63}$`)
	errAgent = errors.New(`the value is not "ssh-agent TYPE BASE64"`)
)

// CheckCredential judges the value of a slot GIT_CREDENTIAL_<n>: a private key
// without a passphrase in PEM or OpenSSH's form, "ssh-agent TYPE BASE64", or a
// token on one line. No error quotes it.
func CheckCredential(value string) error {
	switch {
	case len(value) > maxCredential:
		return errors.New("the value is larger than 64 KiB")
	case isAgentKey(value):
		return checkPublicKey(strings.TrimPrefix(value, agentPrefix), errAgent)
	case isPrivateKey(value):
		_, err := readKey(value)
		return err
	}
	return CheckToken(value)
}

// CheckSlot judges a value by the slot that it is for.
func CheckSlot(slot, value string) error {
	if strings.HasPrefix(slot, SlotGit) {
		return CheckCredential(value)
	}
	return CheckToken(value)
}

// Needles are what of a slot's value is looked for in what an agent sends and
// in what the sidecar says.
//
// Of a token it is the value. Of a private key it is the base64 of its private
// numbers, line by line: what else a key file holds is the same in everybody's
// (its first lines) or public (the public half stands in it too, and an agent
// may well send that). A line is found however the lines are joined. Of a
// public key it is nothing.
func Needles(slot, value string) []string {
	switch {
	case value == "":
		return nil
	case !strings.HasPrefix(slot, SlotGit):
		return []string{value}
	case isAgentKey(value):
		return nil
	case isPrivateKey(value):
		k, err := readKey(value)
		if err != nil {
			return []string{value}
		}
		return k.needles()
	}
	return []string{value}
}

// Fits tells whether a value can be the credential of a remote.
func (r Remote) Fits(value string) error {
	ssh := strings.HasPrefix(r.Upstream, "ssh://")
	key := isPrivateKey(value) || isAgentKey(value)
	switch {
	case ssh && !key:
		return errors.New("an ssh upstream needs a private key, or one of the ssh-agent")
	case !ssh && key:
		return errors.New("an https upstream needs a token, not a key")
	}
	return nil
}

func isAgentKey(value string) bool { return strings.HasPrefix(value, agentPrefix) }

func isPrivateKey(value string) bool {
	return strings.HasPrefix(strings.TrimLeft(value, " \t\r\n"), "-----BEGIN ")
}

// checkPublicKey judges "TYPE BASE64": a blob that begins with its own type.
func checkPublicKey(s string, malformed error) error {
	kind, body, ok := strings.Cut(s, " ")
	if !ok || !keyType.MatchString(kind) {
		return malformed
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(body)
	if err != nil || strings.ContainsAny(body, "\r\n") {
		return malformed
	}
	if inner, _, ok := cutString(blob); !ok || string(inner) != kind {
		return malformed
	}
	return nil
}

// cutString takes one string of the ssh protocol (RFC 4251, section 5) off b.
func cutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if b = b[4:]; n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
