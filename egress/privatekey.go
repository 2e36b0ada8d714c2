package egress

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
)

// minPiece is the shortest part of a key's line that is looked for: 96 bits of
// it, which stand in no other text by chance.
const minPiece = 16

// Errors of private keys. The libraries' own could quote what they read.
var (
	errKeyForm      = errors.New("the value is not one private key")
	errKeyEncrypted = errors.New("the private key has a passphrase")
	errKeyKind      = errors.New("the private key is of a kind that is not supported (rsa, ecdsa, ed25519)")
)

// privateKey is a key file taken apart.
type privateKey struct {
	lines   []string // of base64
	body    []byte   // what they encode
	secrets [][]byte // the private numbers, as they stand in body
}

// readKey reads a file with one private key and nothing else.
func readKey(value string) (*privateKey, error) {
	text := strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "\n"))
	block, rest := pem.Decode([]byte(text + "\n"))
	if block == nil || len(rest) > 0 {
		return nil, errKeyForm
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, errKeyEncrypted
	}
	k := &privateKey{body: block.Bytes, lines: strings.Split(text, "\n")}
	begin, end := "-----BEGIN "+block.Type+"-----", "-----END "+block.Type+"-----"
	last := len(k.lines) - 1
	if last < 2 || k.lines[0] != begin || k.lines[last] != end {
		return nil, errKeyForm // text before it, or headers
	}
	k.lines = k.lines[1:last]
	// As it was decoded, so that a place in body is a place in the lines.
	if strings.Join(k.lines, "") != base64.StdEncoding.EncodeToString(k.body) {
		return nil, errKeyForm
	}
	var err error
	k.secrets, err = secretsOf(block)
	if err == nil && len(k.needles()) == 0 {
		err = errKeyForm
	}
	return k, err
}

// secretsOf returns the private numbers of a key.
func secretsOf(block *pem.Block) ([][]byte, error) {
	var key any
	var err error
	switch block.Type {
	case "OPENSSH PRIVATE KEY":
		return opensshSecrets(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, errKeyKind
	}
	if err != nil {
		return nil, errKeyForm
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		secrets := [][]byte{k.D.Bytes()}
		for _, p := range k.Primes {
			secrets = append(secrets, p.Bytes())
		}
		if p := k.Precomputed; p.Dp != nil && p.Dq != nil && p.Qinv != nil {
			secrets = append(secrets, p.Dp.Bytes(), p.Dq.Bytes(), p.Qinv.Bytes())
		}
		return secrets, nil
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			return nil, errKeyForm
		}
		return [][]byte{d}, nil
	case ed25519.PrivateKey:
		return [][]byte{k.Seed()}, nil
	}
	return nil, errKeyKind
}

// opensshSecrets reads OpenSSH's own form (its PROTOCOL.key).
func opensshSecrets(b []byte) ([][]byte, error) {
	b, ok := bytes.CutPrefix(b, []byte("openssh-key-v1\x00"))
	cipher, b, ok1 := cutString(b)
	_, b, ok2 := cutString(b) // how the cipher's key is made
	_, b, ok3 := cutString(b)
	if !ok || !ok1 || !ok2 || !ok3 {
		return nil, errKeyForm
	}
	if string(cipher) != "none" {
		return nil, errKeyEncrypted
	}
	b, ok = bytes.CutPrefix(b, []byte{0, 0, 0, 1}) // one key
	_, b, ok1 = cutString(b)                       // its public half
	b, rest, ok2 := cutString(b)
	if !ok || !ok1 || !ok2 || len(rest) > 0 || len(b) < 8 || !bytes.Equal(b[:4], b[4:8]) {
		return nil, errKeyForm
	}
	kind, b, ok := cutString(b[8:])
	if !ok {
		return nil, errKeyForm
	}
	public, private := 0, 0 // how many fields of each follow
	switch string(kind) {
	case "ssh-rsa":
		public, private = 2, 4
	case "ssh-ed25519":
		public, private = 1, 1
	case "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521":
		public, private = 2, 1
	default:
		return nil, errKeyKind
	}
	var secrets [][]byte
	for i := range public + private {
		var field []byte
		if field, b, ok = cutString(b); !ok {
			return nil, errKeyForm
		}
		if i >= public {
			secrets = append(secrets, field)
		}
	}
	if string(kind) == "ssh-ed25519" {
		if len(secrets[0]) != ed25519.PrivateKeySize {
			return nil, errKeyForm
		}
		secrets[0] = secrets[0][:ed25519.SeedSize] // the public half follows
	}
	return secrets, nil
}

// needles are the parts of lines that private numbers alone decide.
func (k *privateKey) needles() (pieces []string) {
	for _, secret := range k.secrets {
		at := bytes.Index(k.body, secret)
		if at < 0 || len(secret) == 0 {
			continue
		}
		from, to := (at*8+5)/6, (at+len(secret))*8/6 // characters of six bits
		for _, line := range k.lines {
			if a, b := max(from, 0), min(to, len(line)); b-a >= minPiece {
				pieces = append(pieces, line[a:b])
			}
			from, to = from-len(line), to-len(line)
		}
	}
	return pieces
}
