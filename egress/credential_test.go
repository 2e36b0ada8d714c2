package egress

import (
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// keygen makes a key with OpenSSH's own program and returns both halves.
func keygen(t testing.TB, args ...string) (private, public string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	args = append([]string{"-q", "-C", "a comment", "-f", file}, args...)
	if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen (package openssh-client): %v\n%s", err, out)
	}
	for path, to := range map[string]*string{file: &private, file + ".pub": &public} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		*to = string(b)
	}
	return private, public
}

const slot0 = SlotGit + "0"

func TestNeedlesOfKeys(t *testing.T) {
	for name, args := range map[string][]string{
		"ed25519":        {"-t", "ed25519"},
		"rsa openssh":    {"-t", "rsa", "-b", "2048"},
		"rsa pkcs1":      {"-t", "rsa", "-b", "2048", "-m", "PEM"},
		"rsa pkcs8":      {"-t", "rsa", "-b", "3072", "-m", "PKCS8"},
		"ecdsa openssh":  {"-t", "ecdsa", "-b", "256"},
		"ecdsa sec1":     {"-t", "ecdsa", "-b", "384", "-m", "PEM"},
		"ecdsa p521":     {"-t", "ecdsa", "-b", "521"},
		"ecdsa pkcs8":    {"-t", "ecdsa", "-b", "256", "-m", "PKCS8"},
		"ed25519 a host": {"-t", "ed25519", "-C", strings.Repeat("long comment ", 9)},
	} {
		t.Run(name, func(t *testing.T) {
			private, public := keygen(t, append(args, "-N", "")...)
			other, _ := keygen(t, append(args, "-N", "")...)
			for _, value := range []string{private, strings.ReplaceAll(private, "\n", "\r\n"), "\n" + private + "\n\n", strings.TrimSpace(private)} {
				if err := CheckCredential(value); err != nil {
					t.Errorf("refused: %v", err)
				}
			}
			needles := Needles(slot0, private)
			block, _ := pem.Decode([]byte(private))
			bits := 0
			for _, n := range needles {
				bits += 6 * len(n)
				if len(n) < minPiece || !strings.Contains(private, n) {
					t.Errorf("%q is no part of a line", n)
				}
				if strings.Contains(other, n) {
					t.Errorf("%q stands in another key too", n)
				}
				// Alone it decides whole bytes, which are in no public half.
				for from := range 4 {
					if len(n) < from+4 {
						continue
					}
					piece := n[from:]
					b, err := base64.RawStdEncoding.DecodeString(piece[:len(piece)/4*4])
					if err != nil {
						t.Fatal(err)
					}
					blob, err := base64.StdEncoding.DecodeString(strings.Fields(public)[1])
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(string(blob), string(b)) {
						t.Errorf("%q is public", n)
					}
				}
			}
			if bits < 200 || bits > 8*len(block.Bytes) {
				t.Errorf("%d bits of %d are looked for", bits, 8*len(block.Bytes))
			}
		})
	}
}

func TestCheckCredential(t *testing.T) {
	plain, public := keygen(t, "-t", "ed25519", "-N", "")
	locked, _ := keygen(t, "-t", "ed25519", "-N", "a passphrase")
	locked8, _ := keygen(t, "-t", "rsa", "-m", "PKCS8", "-N", "a passphrase")
	locked1, _ := keygen(t, "-t", "rsa", "-m", "PEM", "-N", "a passphrase")
	half := strings.Join(strings.Fields(public)[:2], " ")
	lines := strings.Split(plain, "\n")
	swapped := slices.Clone(lines)
	swapped[1], swapped[2] = swapped[2], swapped[1]
	for name, tt := range map[string]struct{ value, want string }{
		"key":               {plain, ""},
		"token":             {"ghp_0123456789", ""},
		"user and token":    {"me:ghp_0123456789", ""},
		"agent":             {"ssh-agent " + half, ""},
		"short token":       {"0123456789", "shorter than 12"},
		"token of lines":    {"0123456789\nabcdefghi", "line break"},
		"agent, comment":    {"ssh-agent " + half + " me@host", "ssh-agent TYPE BASE64"},
		"agent, two lines":  {"ssh-agent " + half + "\n", "ssh-agent TYPE BASE64"},
		"agent, other type": {"ssh-agent ssh-rsa " + strings.Fields(public)[1], "ssh-agent TYPE BASE64"},
		"agent, option":     {"ssh-agent -oProxyCommand=x AAAA", "ssh-agent TYPE BASE64"},
		"passphrase":        {locked, "has a passphrase"},
		"passphrase, pkcs8": {locked8, "has a passphrase"},
		"passphrase, pem":   {locked1, "has a passphrase"},
		"two keys":          {plain + plain, "not one private key"},
		"text behind":       {plain + "more", "not one private key"},
		"torn":              {plain[:len(plain)/2], "not one private key"},
		"lines swapped":     {strings.Join(swapped, "\n"), "not one private key"},
		"certificate":       {strings.ReplaceAll(plain, "OPENSSH PRIVATE KEY", "CERTIFICATE"), "a kind that is not supported"},
		"too large":         {"-----BEGIN X-----\n" + strings.Repeat("A", 64<<10), "larger than 64 KiB"},
		"nothing":           {"", "shorter than 12"},
	} {
		err := CheckCredential(tt.value)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	for slot, value := range map[string]string{slot0: "ghp_0123456789", "EGRESS_TOKEN_0": plain} {
		if got := Needles(slot, value); len(got) != 1 || got[0] != value {
			t.Errorf("%s: needles %q", slot, got)
		}
	}
	if got := Needles(slot0, "ssh-agent "+half); got != nil {
		t.Errorf("a public key is looked for: %q", got)
	}
	if CheckSlot("EGRESS_TOKEN_0", plain) == nil {
		t.Error("a header may be a private key")
	}
}

// What a key file says must never end the sidecar, and what is looked for in it
// must stand in it.
func FuzzCredential(f *testing.F) {
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		for _, form := range []string{"RFC4716", "PKCS8", "PEM"} {
			private, public := keygen(f, "-t", kind, "-m", form, "-N", "")
			f.Add(private)
			f.Add("ssh-agent " + public)
		}
	}
	f.Fuzz(func(t *testing.T, value string) {
		err := CheckCredential(value)
		for _, n := range Needles(slot0, value) {
			if !strings.Contains(value, n) || err == nil && len(n) < MinSecret {
				t.Errorf("needle %q of %q", n, value)
			}
		}
		if err != nil && len(value) >= MinSecret && strings.Contains(err.Error(), value) {
			t.Errorf("quoted: %v", err)
		}
	})
}
