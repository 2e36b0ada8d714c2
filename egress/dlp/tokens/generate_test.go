package tokens

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Alphabets to draw from.
const (
	decimal   = "0123456789"
	hexChars  = decimal + "abcdef"
	letters   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	alnumText = decimal + letters
	urlText   = alnumText + "-_"
	stdText   = alnumText + "+/"
)

// sample makes credentials of one form, whole only while a test runs: no file
// of this repository contains one.
type sample struct {
	// form is unique; name is the detector's.
	form, name string
	make       func(draw) string
	// token cuts the credential out of what make returns, where it stands in a
	// context. Nil: all of it.
	token func(string) string
	// open means that a longer body of the same characters is a credential too.
	open bool
}

// draw draws text that no rule takes for a placeholder.
type draw struct{ *rand.Rand }

func (d draw) text(n int, from string) string {
	for {
		b := make([]byte, n)
		for i := range b {
			b[i] = from[d.IntN(len(from))]
		}
		s := string(b)
		switch {
		case n < 16 || all(b, digit):
			return s
		case from == hexChars && plausible(b):
			return s
		case from == letters && cased(b):
			return s
		case mixed(b) && classes[b[n-1]]&alnum != 0 && classes[b[0]]&alnum != 0:
			return s
		case from == base32Text && base32ID(b) && strings.ContainsAny(s, "234567"):
			return s
		case from == bech32Digits || from == capitals && plausible(b):
			return s
		}
	}
}

const (
	base32Text = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	capitals   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

// plain is a prefix and a body.
func plain(name, prefix string, n int, from string) sample {
	return sample{form: prefix, name: name, make: func(d draw) string { return prefix + d.text(n, from) }}
}

// ranged is plain where longer ones are valid.
func ranged(name, prefix string, n int, from string) sample {
	s := plain(name, prefix, n, from)
	s.open = true
	return s
}

// inBase pads a number with zeros.
func inBase(n uint64, digits string, width int) string {
	s := ""
	for ; n > 0; n /= uint64(len(digits)) {
		s = string(digits[n%uint64(len(digits))]) + s
	}
	return strings.Repeat("0", width-len(s)) + s
}

// summed is a prefix, 30 characters and GitHub's checksum of them.
func summed(name, prefix string) sample {
	return sample{form: prefix, name: name, make: func(d draw) string {
		body := d.text(30, alnumText)
		return prefix + body + inBase(uint64(crc32.ChecksumIEEE([]byte(body))), base62Digits, 6)
	}}
}

func routable(prefix, version string) sample {
	return sample{form: prefix + " routable" + version, name: "GitLab token", make: func(d draw) string {
		raw := "c:1\no:" + d.text(2, decimal) + "\nu:" + d.text(3, hexChars) + d.text(16, alnumText) + "\x10"
		payload := base64.RawURLEncoding.EncodeToString([]byte(raw))
		s := prefix + payload + version + "." + inBase(uint64(len(payload)), base36Digits, 2)
		return s + inBase(uint64(crc32.ChecksumIEEE([]byte(s))), base36Digits, 7)
	}}
}

func jwtOf(header, payload string, signature int) func(draw) string {
	return func(d draw) string {
		e := base64.RawURLEncoding
		return e.EncodeToString([]byte(header)) + "." + e.EncodeToString([]byte(payload)) + "." + d.text(signature, urlText)
	}
}

func pemOf(label, join string, lines int) func(draw) string {
	return func(d draw) string {
		s := "-----BEGIN " + label + "-----" + join
		for range lines {
			s += d.text(64, stdText) + join
		}
		return s + "-----END " + label + "-----"
	}
}

// bech32Of appends a valid checksum, by trying: six characters are linear in
// the code, so the reference computes them from the remainder.
func bech32Of(hrp string, d draw) string {
	body := d.text(52, bech32Digits)
	sum := uint32(1)
	for _, c := range hrp {
		sum = bech32Step(sum, uint32(c)>>5)
	}
	sum = bech32Step(sum, 0)
	for _, c := range hrp {
		sum = bech32Step(sum, uint32(c)&31)
	}
	for _, c := range body {
		sum = bech32Step(sum, uint32(strings.IndexRune(bech32Digits, c)))
	}
	for range 6 {
		sum = bech32Step(sum, 0)
	}
	sum ^= 1
	for i := range 6 {
		body += string(bech32Digits[sum>>(5*(5-i))&31])
	}
	return body
}

func after(mark string) func(string) string {
	return func(s string) string { return s[strings.Index(s, mark)+len(mark):] }
}

func grafanaOf(d draw) string {
	s := "glsa_" + d.text(32, alnumText)
	sum := crc32.ChecksumIEEE([]byte(s))
	return s + fmt.Sprintf("_%02x%02x%02x%02x", byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
}

func discordOf(d draw) string {
	id := strconv.FormatUint(100000000000000000+d.Uint64N(900000000000000000), 10)
	return base64.RawURLEncoding.EncodeToString([]byte(id)) + ".G" + d.text(5, alnumText) + "." + d.text(38, urlText)
}
