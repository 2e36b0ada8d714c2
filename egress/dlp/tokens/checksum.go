package tokens

import (
	"hash/crc32"
	"strings"
)

const (
	base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	base36Digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	bech32Digits = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
)

// number reads text in the given digits; ok is false for a character that is
// no digit, and for more than 64 bits.
func number(text []byte, digits string) (n uint64, ok bool) {
	for _, b := range text {
		d := strings.IndexByte(digits, b)
		if d < 0 || n > (1<<57) {
			return 0, false
		}
		n = n*uint64(len(digits)) + uint64(d)
	}
	return n, true
}

// crc62 says whether the last six characters of body are the CRC-32 of those
// before them, in base 62 with leading zeros, as GitHub has it and npm took
// over.
// Source: github.blog, "Behind GitHub's new authentication token formats".
func crc62(body []byte) bool {
	cut := len(body) - 6
	sum, ok := number(body[cut:], base62Digits)
	return ok && sum == uint64(crc32.ChecksumIEEE(body[:cut]))
}

// bech32 says whether data, in upper case, ends with a valid checksum under
// the human-readable part hrp, in lower case. Source: BIP 173, "Checksum".
func bech32(hrp string, data []byte) bool {
	sum := uint32(1)
	for i := range len(hrp) {
		sum = bech32Step(sum, uint32(hrp[i]>>5))
	}
	sum = bech32Step(sum, 0)
	for i := range len(hrp) {
		sum = bech32Step(sum, uint32(hrp[i]&31))
	}
	for _, b := range data {
		d := strings.IndexByte(bech32Digits, b)
		if d < 0 {
			return false
		}
		sum = bech32Step(sum, uint32(d))
	}
	return sum == 1
}

// bech32Step takes one value of five bits into the checksum.
func bech32Step(sum, value uint32) uint32 {
	top := sum >> 25
	sum = sum&0x1ffffff<<5 ^ value
	for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
		if top>>i&1 != 0 {
			sum ^= g
		}
	}
	return sum
}
