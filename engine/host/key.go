package host

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
)

// minRSA is the size in bits below which OpenSSH refuses an RSA key.
const minRSA = 2048

// Key returns the credential of a private key: its text, as it is, or, of an
// encrypted one whose public half the user's ssh-agent lists, "ssh-agent TYPE
// BASE64". It judges the file as ssh does.
func Key(ctx context.Context, path string) (string, error) {
	text, err := readKey(path)
	if err != nil {
		return "", err
	}
	if egress.KindOf(text) != egress.CredentialKey {
		return "", diag.Errorf("it holds no private key").WithHint("name a private key, as ssh-keygen writes it")
	}
	public, locked, err := publicHalf(path, text)
	if err != nil {
		return "", err
	}
	if public != nil {
		if err := strong(public); err != nil {
			return "", err
		}
	}
	touch := public != nil && strings.HasPrefix(public.Type(), "sk-")
	if !locked && !touch {
		if egress.CheckCredential(text) != nil { // the sidecar would not take it
			return "", notReadable(path)
		}
		return text, nil
	}
	agent, err := agentHas(ctx, public)
	switch {
	case agent:
		return egress.AgentCredential(public.Type(), public.Marshal()), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case touch:
		return "", diag.Errorf("the key is in a security key, which wants to be touched%s", why(err)).
			WithHint("run 'ssh-add %s', or use a key that only this repository accepts (a deploy key)", path)
	case public == nil:
		return "", diag.Errorf("the key is encrypted, and nothing says what its public half is").
			WithHint("run 'ssh-keygen -y -f %[1]s > %[1]s.pub', then 'ssh-add %[1]s'", path)
	}
	return "", diag.Errorf("the key is encrypted and no ssh-agent has it%s", why(err)).
		WithHint("run 'ssh-add %s', or use a key without a passphrase that only this repository accepts, a deploy key", path)
}

func why(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// readKey reads a file that ssh would take a private key from: whatever group
// and others may do with it is too much (sshkey_perm_ok of OpenSSH).
func readKey(path string) (string, error) {
	real, err := Expand(path)
	if err != nil {
		return "", err
	}
	f, err := openFile(real)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return "", diag.Errorf("it is a symbolic link").WithHint("name the file itself")
	case errors.Is(err, fs.ErrNotExist):
		return "", diag.Errorf("%v", diag.Cause(err)).WithHint("make one with 'ssh-keygen -t ed25519 -f %s'", path)
	case err != nil:
		return "", diag.Errorf("%v", diag.Cause(err)).WithHint("name a private key that you can read")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", diag.Cause(err)
	}
	if err := owned(info, os.Geteuid(), "name a private key"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, egress.MaxKey+1))
	if err != nil {
		return "", diag.Cause(err)
	}
	if len(b) > egress.MaxKey {
		return "", diag.Errorf("it is larger than %d KiB", egress.MaxKey>>10).WithHint("name a private key")
	}
	if err := wrongKind(path, string(b)); err != nil {
		return "", err // a public key may well be for all to read
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", diag.Errorf("its mode is %04o: others than its owner have access to it, and ssh refuses it too", mode).
			WithHint("chmod 600 %s", path)
	}
	return string(b), nil
}

// wrongKind tells what is no OpenSSH or PEM private key from what it looks like.
func wrongKind(path, text string) error {
	first, _, _ := strings.Cut(text, "\n")
	switch {
	case strings.HasPrefix(first, "PuTTY-User-Key-File-"):
		return diag.Errorf("it is a key in the form of PuTTY").
			WithHint("puttygen %s -O private-openssh -o NEWFILE, then name NEWFILE", path)
	case strings.HasPrefix(first, "-----BEGIN ") && strings.HasSuffix(strings.TrimSpace(first), " PUBLIC KEY-----"),
		strings.HasPrefix(first, "---- BEGIN SSH2 PUBLIC KEY"):
		return publicInstead(path)
	}
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text)); err == nil && !strings.HasPrefix(first, "-----BEGIN ") {
		return publicInstead(path)
	}
	return nil
}

func publicInstead(path string) error {
	hint := "name the private key beside it"
	if private, ok := strings.CutSuffix(path, ".pub"); ok {
		hint = "drop .pub: " + private
	}
	return diag.Errorf("it is the public key").WithHint("%s", hint)
}

// publicHalf returns the public half of a key, and whether it takes a
// passphrase to use it; nil means that nothing in the clear says what it is.
func publicHalf(path, text string) (public ssh.PublicKey, locked bool, err error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		return nil, false, notReadable(path)
	}
	if len(strings.TrimSpace(string(rest))) > 0 {
		return nil, false, diag.Errorf("there is more in it than one key").WithHint("name a file with the private key alone")
	}
	if public, err := clearHalf(block); err == nil && public != nil {
		if strings.HasPrefix(public.Type(), "sk-") || public.Type() == dsa {
			return public, false, nil // more is not needed of them
		}
	}
	raw, err := ssh.ParseRawPrivateKey([]byte(text))
	var missing *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &missing) && missing.PublicKey != nil:
		return missing.PublicKey, true, nil
	case errors.As(err, &missing), block.Type == "ENCRYPTED PRIVATE KEY":
		return besideIt(path), true, nil
	case err != nil && block.Type == "DSA PRIVATE KEY":
		return nil, false, tooOld()
	case err != nil:
		return nil, false, notReadable(path) // of the parser nothing is quoted
	}
	switch raw.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, *ed25519.PrivateKey:
	default: // dsa has a type without a signer
		return nil, false, tooOld()
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return nil, false, diag.Errorf("ssh has no use for a key of its curve").WithHint("make one with 'ssh-keygen -t ed25519'")
	}
	return signer.PublicKey(), false, nil
}

// dsa is the type that OpenSSH dropped.
const dsa = "ssh-dss"

func notReadable(path string) error {
	return diag.Errorf("it is no private key that can be read").
		WithHint("'ssh-keygen -y -f %s' says whether ssh can; 'ssh-keygen -t ed25519' makes one", path)
}

func tooOld() error {
	return diag.Errorf("it is a DSA key, which ssh refuses").WithHint("make one with 'ssh-keygen -t ed25519'")
}

// strong refuses keys that ssh servers refuse.
func strong(public ssh.PublicKey) error {
	if public.Type() == dsa {
		return tooOld()
	}
	if c, ok := public.(ssh.CryptoPublicKey); ok {
		if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() < minRSA {
			return diag.Errorf("it is an RSA key of %d bits, fewer than %d", k.N.BitLen(), minRSA).
				WithHint("make one with 'ssh-keygen -t ed25519'")
		}
	}
	return nil
}

// clearHalf is the public half that OpenSSH's own form has in the clear
// (PROTOCOL.key of OpenSSH); nil in other forms.
func clearHalf(block *pem.Block) (ssh.PublicKey, error) {
	const magic = "openssh-key-v1\x00"
	rest, ok := strings.CutPrefix(string(block.Bytes), magic)
	if !ok {
		return nil, nil
	}
	var head struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public               []byte
		Rest                 []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal([]byte(rest), &head); err != nil {
		return nil, err
	}
	return ssh.ParsePublicKey(head.Public)
}

// besideIt is the public key in PATH.pub, or nil. Only what nobody else may
// write counts: it says which key of the agent is lent.
func besideIt(path string) ssh.PublicKey {
	real, err := Expand(path + ".pub")
	if err != nil {
		return nil
	}
	f, err := openFile(real)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || owned(info, os.Geteuid(), "") != nil || info.Mode().Perm()&0o022 != 0 {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, egress.MaxKey))
	if err != nil {
		return nil
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return nil
	}
	return public
}
