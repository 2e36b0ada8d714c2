package egress

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestAgentCredentialComesBack(t *testing.T) {
	plain, public := keygen(t, "-t", "ed25519", "-N", "")
	blob, err := base64.StdEncoding.DecodeString(strings.Fields(public)[1])
	if err != nil {
		t.Fatal(err)
	}
	value := AgentCredential("ssh-ed25519", blob)
	if value != "ssh-agent "+strings.Join(strings.Fields(public)[:2], " ") {
		t.Errorf("%q", value)
	}
	if back, err := ParseAgent(value); err != nil || !bytes.Equal(back, blob) {
		t.Errorf("%x, %v", back, err)
	}
	for _, bad := range []string{
		"", plain, "0123456789ab", public, "ssh-agent", value + " me", value + "\n",
		AgentCredential("ssh-rsa", blob), AgentCredential("ssh-ed25519", blob[:3]), AgentCredential("ssh-ed25519", nil),
	} {
		if back, err := ParseAgent(bad); err == nil {
			t.Errorf("%q is the key %x", bad, back)
		}
	}
	for kind, v := range map[CredentialKind]string{CredentialAgent: value, CredentialKey: plain, CredentialToken: "0123456789ab"} {
		if got := KindOf(v); got != kind {
			t.Errorf("%q is a %s, want %s", v, got, kind)
		}
	}
}

func TestResolveKeys(t *testing.T) {
	plain, public := keygen(t, "-t", "ed25519", "-N", "")
	locked, _ := keygen(t, "-t", "ed25519", "-N", "a passphrase")
	values := map[string]string{
		"key:~/good": plain, "key:~/agent": "ssh-agent " + strings.Join(strings.Fields(public)[:2], " "),
		"key:~/token": "0123456789ab", "key:~/empty": "", "key:~/locked": locked, "KEY_IN_VARIABLE": plain,
	}
	lookup := func(ref string) (string, error) {
		if ref == "key:~/gone" {
			return "", errors.New("no such file")
		}
		return values[ref], nil
	}
	for ref, want := range map[string]string{
		"key:~/good": "", "key:~/agent": "",
		"key:~/token":     "key ~/token: the value is no private key",
		"key:~/empty":     "key ~/empty is empty",
		"key:~/gone":      "key ~/gone: no such file",
		"key:~/locked":    "key ~/locked: the private key has a passphrase",
		"KEY_IN_VARIABLE": "token KEY_IN_VARIABLE: the value has a line break or another control byte",
	} {
		got, err := ResolveTokens([]SlotRef{{slot0, ref}}, lookup)
		if err != nil {
			if err.Error() != want {
				t.Errorf("%s: %q, want %q", ref, err, want)
			}
		} else if want != "" || got[slot0] != values[ref] {
			t.Errorf("%s: %q, want error %q", ref, got, want)
		}
	}
}
