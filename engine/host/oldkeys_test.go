package host

import (
	"encoding/asn1"
	"encoding/pem"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// dsaKey is what ssh-keygen of OpenSSH before 9.8 wrote: today's makes none. Its
// numbers are no sound key.
func dsaKey() string {
	b, err := asn1.Marshal(struct {
		Version       int
		P, Q, G, Y, X *big.Int
	}{0, big.NewInt(1019), big.NewInt(509), big.NewInt(4), big.NewInt(16), big.NewInt(2)})
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "DSA PRIVATE KEY", Bytes: b}))
}

// securityKey is what ssh-keygen -t ed25519-sk writes, which takes a device: the
// handle in place of the private half (PROTOCOL.u2f).
func securityKey() string {
	const kind = "sk-ssh-ed25519@openssh.com"
	public := ssh.Marshal(struct {
		Type        string
		Public      []byte
		Application string
	}{kind, make([]byte, 32), "ssh:"})
	private := ssh.Marshal(struct {
		Check1, Check2   uint32
		Type             string
		Public           []byte
		Application      string
		Flags            byte
		Handle, Reserved []byte
		Comment          string
	}{1, 1, kind, make([]byte, 32), "ssh:", 1, make([]byte, 64), nil, ""})
	for i := byte(1); len(private)%8 != 0; i++ {
		private = append(private, i)
	}
	whole := append([]byte("openssh-key-v1\x00"), ssh.Marshal(struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public, Private      []byte
	}{"none", "none", "", 1, public, private})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: whole}))
}
