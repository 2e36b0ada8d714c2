package guest

import (
	"bytes"
	"encoding/pem"
)

// Certificates are those in a text, and nothing else of it.
func Certificates(text []byte) (certs []byte) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	return certs
}

// caMark separates bb's certificate from the image's in the bundle.
const caMark = "# bb: the sidecar of this bottle\n"

// WithAuthority appends ca to the image's bundle; what an earlier start
// appended is dropped.
func WithAuthority(bundle, ca []byte) []byte {
	theirs, _ := WithoutAuthority(bundle)
	out := bytes.Clone(theirs)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return append(append(out, caMark...), ca...)
}

// WithoutAuthority is the bundle as the image had it, and whether WithAuthority
// had added to it.
func WithoutAuthority(bundle []byte) (theirs []byte, had bool) {
	if at := bytes.Index(bundle, []byte(caMark)); at >= 0 {
		return bundle[:at], true
	}
	return bundle, false
}
