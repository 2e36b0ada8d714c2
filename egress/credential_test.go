package egress

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func publicBlob(keyType string) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(keyType))), keyType...), make([]byte, 36)...)
}

func pemOf(label, body string) string {
	return "-----BEGIN " + label + "-----\n" + body + "\n-----END " + label + "-----\n"
}

func TestCheckCredential(t *testing.T) {
	blob := publicBlob("ssh-ed25519")
	agent := AgentCredential("ssh-ed25519", blob)
	key := pemOf("OPENSSH PRIVATE KEY", "b3BlbnNzaC1rZXktdjEA")
	for name, c := range map[string]struct {
		value string
		kind  CredentialKind
		err   string
	}{
		"key":                  {key, CredentialKey, ""},
		"key of another form":  {pemOf("PRIVATE KEY", "AAAA"), CredentialKey, ""},
		"key with a header":    {pemOf("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\nAAAA"), CredentialKey, ""},
		"key with CRLF":        {strings.ReplaceAll(key, "\n", "\r\n"), CredentialKey, ""},
		"key, no line feed":    {strings.TrimSpace(key), CredentialKey, ""},
		"agent":                {agent, CredentialAgent, ""},
		"token":                {"0123456789ab", CredentialToken, ""},
		"login":                {"user:0123456789ab", CredentialToken, ""},
		"short token":          {"0123", CredentialToken, "the value is shorter than 12 bytes"},
		"token of two lines":   {"0123456789ab\nx", CredentialToken, "the value has a line break or another control byte"},
		"public PEM":           {pemOf("PUBLIC KEY", "AAAA"), CredentialKey, "the value is no private key"},
		"certificate":          {pemOf("CERTIFICATE", "AAAA"), CredentialKey, "the value is no private key"},
		"label runs on":        {"-----BEGIN PRIVATE KEY----- x\nAAAA\n-----END PRIVATE KEY-----", CredentialKey, "the value is no private key"},
		"no end":               {"-----BEGIN PRIVATE KEY-----\nAAAA\n", CredentialKey, "the key is not whole"},
		"other end":            {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", CredentialKey, "the key is not whole"},
		"no body":              {pemOf("PRIVATE KEY", ""), CredentialKey, "the key is not whole"},
		"two keys":             {key + key, CredentialKey, "there is more than one key"},
		"block in a block":     {pemOf("PRIVATE KEY", "-----BEGIN X-----"), CredentialKey, "there is more than one key"},
		"key with NUL":         {pemOf("PRIVATE KEY", "AA\x00AA"), CredentialKey, "the key has a byte that is no plain text"},
		"key with tab":         {pemOf("PRIVATE KEY", "AA\tAA"), CredentialKey, "the key has a byte that is no plain text"},
		"large key":            {pemOf("PRIVATE KEY", strings.Repeat("A", MaxKey)), CredentialKey, "the key is larger than 64 KiB"},
		"agent, other type":    {strings.Replace(agent, "ed25519", "ed448", 1), CredentialAgent, "the value names a key of an ssh-agent as another type than it is"},
		"agent, two lines":     {agent + "\n", CredentialAgent, "the value names a key of an ssh-agent that is not whole"},
		"agent, comment":       {agent + " me@here", CredentialAgent, "the value names a key of an ssh-agent that is not whole"},
		"agent, no blob":       {"ssh-agent ssh-ed25519", CredentialAgent, "the value names a key of an ssh-agent that is not whole"},
		"agent, no type":       {"ssh-agent  " + base64.StdEncoding.EncodeToString([]byte{0, 0, 0, 0}), CredentialAgent, "the value names a key of an ssh-agent as another type than it is"},
		"agent, length beyond": {AgentCredential("ssh", []byte{255, 255, 255, 255, 's', 's', 'h'}), CredentialAgent, "the value names a key of an ssh-agent as another type than it is"},
		"agent, odd type":      {AgentCredential("a,b", publicBlob("a,b")), CredentialAgent, "the value names a key of an ssh-agent as another type than it is"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := KindOf(c.value); got != c.kind {
				t.Errorf("kind %s, want %s", got, c.kind)
			}
			got := ""
			if err := CheckCredential(c.value); err != nil {
				got = err.Error()
			}
			if got != c.err {
				t.Errorf("error %q, want %q", got, c.err)
			}
		})
	}
}

func TestResolveKeys(t *testing.T) {
	key := pemOf("OPENSSH PRIVATE KEY", "AAAA")
	values := map[string]string{
		"key:~/good": key, "key:~/agent": AgentCredential("ssh-ed25519", publicBlob("ssh-ed25519")),
		"key:~/token": "0123456789ab", "key:~/empty": "", "KEY_IN_VARIABLE": key,
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
		"KEY_IN_VARIABLE": "token KEY_IN_VARIABLE: the value has a line break or another control byte",
	} {
		got, err := ResolveTokens([]SlotRef{{SlotGit + "0", ref}}, lookup)
		if text := ""; err != nil {
			if text = err.Error(); text != want {
				t.Errorf("%s: %q, want %q", ref, text, want)
			}
		} else if want != "" || got[SlotGit+"0"] != values[ref] {
			t.Errorf("%s: %q, want error %q", ref, got, want)
		}
	}
}

func FuzzCheckCredential(f *testing.F) {
	f.Add(AgentCredential("ssh-ed25519", publicBlob("ssh-ed25519")))
	f.Add(pemOf("OPENSSH PRIVATE KEY", "AAAA"))
	f.Add("0123456789ab")
	f.Fuzz(func(t *testing.T, value string) {
		if CheckCredential(value) != nil {
			return
		}
		if KindOf(value) != CredentialKey && strings.ContainsAny(value, "\r\n\x00") {
			t.Error("a line break passed")
		}
		if KindOf(value) == CredentialAgent {
			keyType, blob, err := ParseAgent(value)
			if err != nil || AgentCredential(keyType, blob) != value {
				t.Errorf("%q does not come back: %v", value, err)
			}
		}
	})
}
