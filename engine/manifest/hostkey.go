package manifest

import (
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"slices"
	"strings"
)

// hostKeyTypes are the types of keys that ssh servers have.
var hostKeyTypes = []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}

// keyscan is how to get the key of an upstream's host.
func keyscan(u *url.URL) string {
	port := ""
	if p := u.Port(); p != "" && p != "22" {
		port = "-p " + p + " "
	}
	return "ssh-keyscan " + port + "-t ed25519 " + u.Hostname() + " prints it; compare it with what the host publishes"
}

// parseHostKey reads "TYPE BASE64", with a comment or as a whole line of a
// known_hosts file of that host (sshd(8)), and returns "TYPE BASE64".
func parseHostKey(text string, upstream *url.URL) (string, error) {
	hint := keyscan(upstream)
	words := strings.Fields(text)
	switch {
	case isPrivateKey(text):
		return "", slip{"must be the host's public key, never a private key", hint}
	case strings.HasPrefix(words0(words), "SHA256:") || strings.HasPrefix(words0(words), "MD5:"):
		return "", slip{"is a fingerprint, which cannot stand for the key", hint}
	case strings.HasPrefix(words0(words), "@"):
		return "", slip{"must be one key; a marker such as @cert-authority has no meaning here", hint}
	}
	if len(words) > 2 && !isKeyType(words[0]) && isKeyType(words[1]) {
		if strings.HasPrefix(words[0], "|1|") {
			return "", slip{"has a hashed host name, which cannot be compared", "leave the first word out"}
		}
		if !slices.Contains(strings.Split(words[0], ","), knownAs(upstream)) {
			return "", slip{"is the key of another host than " + knownAs(upstream), hint}
		}
		words = words[1:]
	}
	if len(words) < 2 {
		return "", slip{`must be "TYPE BASE64"`, hint}
	}
	if strings.HasPrefix(words[0], "sk-") {
		return "", slip{"has a type that is of users' keys, never of hosts'", hint}
	}
	if !slices.Contains(hostKeyTypes, words[0]) {
		return "", slip{"must begin with one of " + strings.Join(hostKeyTypes, ", "), hint}
	}
	if !holdsKey(words[0], words[1]) {
		return "", slip{"does not hold a key of its type", hint}
	}
	return words[0] + " " + words[1], nil
}

func words0(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

func isKeyType(word string) bool {
	return strings.HasPrefix(word, "ssh-") || strings.HasPrefix(word, "ecdsa-") || strings.HasPrefix(word, "sk-")
}

// knownAs is how a known_hosts file names a host.
func knownAs(u *url.URL) string {
	if p := u.Port(); p != "" && p != "22" {
		return "[" + u.Hostname() + "]:" + p
	}
	return u.Hostname()
}

// holdsKey reports whether base64 text is a public key in the wire form of RFC
// 4253 section 6.6, of that very type and with nothing behind it.
func holdsKey(kind, text string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return false
	}
	var fields [][]byte
	for len(raw) > 0 {
		if len(raw) < 4 {
			return false
		}
		n := binary.BigEndian.Uint32(raw)
		if uint64(n) > uint64(len(raw)-4) {
			return false
		}
		fields, raw = append(fields, raw[4:4+n]), raw[4+n:]
	}
	if len(fields) < 2 || string(fields[0]) != kind {
		return false
	}
	curve, ecdsa := strings.CutPrefix(kind, "ecdsa-sha2-")
	switch {
	case kind == "ssh-ed25519":
		return len(fields) == 2 && len(fields[1]) == 32
	case ecdsa:
		size := map[string]int{"nistp256": 65, "nistp384": 97, "nistp521": 133}[curve]
		return len(fields) == 3 && string(fields[1]) == curve && len(fields[2]) == size
	}
	return len(fields) == 3 && len(fields[2]) >= 128 // 1024 bits, the least that ssh takes
}

// isPrivateKey finds a key where its name was meant: in PEM, or its body alone.
func isPrivateKey(text string) bool {
	return strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, "b3BlbnNzaC1rZXktdjE")
}
