package host

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const (
	userauthRequest = 50 // SSH_MSG_USERAUTH_REQUEST
	byKey           = "publickey"
	byKeyToHost     = "publickey-hostbound-v00@openssh.com" // PROTOCOL of OpenSSH, 2.3
)

// login is what ssh signs to log in with a key (RFC 4252, section 7).
type login struct {
	Session               []byte
	Message               byte
	User, Service, Method string
	Signed                bool
	Algorithm             string
	Key                   []byte
	Rest                  []byte `ssh:"rest"`
}

// judge says for whom a signature would be, or why there is none. Only a login
// that was lent is signed: no commit, no file, no certificate, no other user.
// A login has one spelling; bytes that only decode to one are something else.
func (r *AgentRelay) judge(key, data []byte, flags uint32) (who string, err error) {
	lent := r.lent(key)
	if lent == nil {
		return "", errors.New("a key that is not lent")
	}
	var l login
	if ssh.Unmarshal(data, &l) != nil || l.Message != userauthRequest || l.Service != "ssh-connection" ||
		!bytes.Equal(ssh.Marshal(l), data) || !l.Signed || len(l.Session) < 20 || len(l.Session) > 64 || !bytes.Equal(l.Key, key) {
		return "", errors.New("what is to be signed is no login")
	}
	if !algorithmFits(lent, l.Algorithm, agent.SignatureFlags(flags)) {
		return "", errors.New("an algorithm that does not fit the key")
	}
	var host []byte
	switch l.Method {
	case byKey:
		if len(l.Rest) > 0 {
			return "", errors.New("what is to be signed is no login")
		}
	case byKeyToHost:
		var bound struct{ Host []byte }
		if ssh.Unmarshal(l.Rest, &bound) != nil || len(bound.Host) == 0 {
			return "", errors.New("what is to be signed is no login")
		}
		host = bound.Host
	default:
		return "", errors.New("what is to be signed is no login by key")
	}
	if !slices.ContainsFunc(lent.Logins, func(to Login) bool { return to.User == l.User && to.at(host) }) {
		return "", errors.New("a login of a user, or at a host, that is not lent")
	}
	if err := r.spend(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%q with %s", l.User, fingerprint(key)), nil
}

// at reports whether a login is for the pinned host; nil means that it does not
// say where it is for.
func (to Login) at(host []byte) bool {
	if host == nil {
		return true
	}
	_, text, _ := strings.Cut(to.HostKey, " ")
	pinned, err := base64.StdEncoding.DecodeString(text)
	return err == nil && bytes.Equal(pinned, host)
}

// algorithmFits wants the key's own algorithm, of RSA one of the two with SHA-2,
// and flags that mean it.
func algorithmFits(lent *Lent, algorithm string, flags agent.SignatureFlags) bool {
	kind := strings.Fields(lent.Key)[1]
	if kind == ssh.KeyAlgoRSA {
		return algorithm == ssh.KeyAlgoRSASHA256 && flags == agent.SignatureFlagRsaSha256 ||
			algorithm == ssh.KeyAlgoRSASHA512 && flags == agent.SignatureFlagRsaSha512
	}
	return algorithm == kind && flags == 0
}

func fingerprint(blob []byte) string {
	public, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return "a key"
	}
	return ssh.FingerprintSHA256(public)
}
