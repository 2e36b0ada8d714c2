package tokens

// keys are what other secrets are made with, and passwords in addresses.
var keys = []format{
	// RFC 7519 and RFC 7515.
	{name: "JWT", literals: []string{"eyJ", "eyA", "ewo", "ew0"}, match: jwt},
	// age-encryption.org/v1, "X25519 recipient stanza": bech32 with its checksum.
	{
		name: "age key", literals: []string{"AGE-SECRET-KEY-1"}, body: upper | digit, min: 58, max: 58,
		check: func(b []byte) bool { return bech32("age-secret-key-", b) },
	},
	// RFC 7468, RFC 1421 and openssh PROTOCOL.key.
	{name: "private key", literals: []string{"-----BEGIN "}, match: pem},
	// the.earth.li/~sgtatham/putty, appendix C "PPK file format".
	{name: "private key", literals: []string{"PuTTY-User-Key-File-"}, match: putty},
	// RFC 3986, section 3.2.1.
	{name: "password in an address", literals: []string{"://"}, match: address},
}
