package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// CanonicalHost returns the one spelling of a host that rules, certificates
// and connections use: a lower-case name of letters, digits and hyphens, or an
// IP literal in its canonical form and without brackets. Whatever two parsers
// could read differently is an error (attack A6): control bytes, trailing
// dots, non-ASCII letters, 0x7f.1, octal, decimal and short addresses, zones.
// An underscore occurs in LocalHost only.
func CanonicalHost(s string) (string, error) {
	if s == "" {
		return "", errors.New("empty host")
	}
	if len(s) > 253 {
		return "", errors.New("host is longer than 253 bytes")
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 { // before the case is lowered: U+212A would become a k
			return "", fmt.Errorf("bad host %s: only ASCII is allowed; use the xn-- form", quote(s))
		}
	}
	if strings.ContainsAny(s, ":[]") {
		return canonicalIPv6(s)
	}
	lower := strings.ToLower(s)
	if lower == LocalHost {
		return lower, nil
	}
	last := ""
	for label := range strings.SplitSeq(lower, ".") {
		if err := checkLabel(label); err != nil {
			return "", fmt.Errorf("bad host %s: %w", quote(s), err)
		}
		last = label
	}
	if !numeric(last) {
		return lower, nil
	}
	// A last label that is a number makes inet_aton and browsers read an IPv4
	// address, in any of its spellings: only the usual one is accepted.
	addr, err := netip.ParseAddr(lower)
	if err != nil || !addr.Is4() || addr.String() != lower {
		return "", fmt.Errorf("bad host %s: not a canonical IP address", quote(s))
	}
	return lower, nil
}

func canonicalIPv6(s string) (string, error) {
	inner := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		inner = s[1 : len(s)-1]
	}
	lower := strings.ToLower(inner)
	addr, err := netip.ParseAddr(lower)
	if err != nil || !addr.Is6() || addr.Zone() != "" || addr.Is4In6() || addr.String() != lower {
		return "", fmt.Errorf("bad host %s: not a canonical IP address", quote(s))
	}
	return lower, nil
}

func checkLabel(label string) error {
	if label == "" {
		return errors.New("empty label or trailing dot")
	}
	if len(label) > 63 {
		return errors.New("a label is longer than 63 bytes")
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return errors.New("a label begins or ends with a hyphen")
	}
	for i := 0; i < len(label); i++ {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return errors.New("only letters, digits and hyphens are allowed")
		}
	}
	return nil
}

// numeric reports whether an IPv4 parser could take the label for a number:
// decimal, octal or hexadecimal.
func numeric(label string) bool {
	digits := label
	if rest, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(digits, "0123456789") == ""
}

// CanonicalPattern is CanonicalHost for the host of a rule, where "*.suffix"
// stands for one label more and "**.suffix" for one or more.
func CanonicalPattern(s string) (string, error) {
	prefix := ""
	for _, p := range []string{"**.", "*."} {
		if rest, ok := strings.CutPrefix(s, p); ok {
			prefix, s = p, rest
			break
		}
	}
	host, err := CanonicalHost(s)
	if err != nil {
		return "", err
	}
	if prefix != "" && isIP(host) {
		return "", fmt.Errorf("bad host %s: a wildcard stands before a name only", quote(prefix+s))
	}
	return prefix + host, nil
}

// SplitAuthority splits "host", "host:port" or "[v6]:port". Without a port it
// is fallback; a fallback of 0 makes the port required (CONNECT).
func SplitAuthority(s string, fallback int) (string, int, error) {
	host, digits := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, digits = s[:i], s[i+1:]
		if digits == "" {
			return "", 0, fmt.Errorf("bad authority %s: empty port", quote(s))
		}
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "", 0, fmt.Errorf("bad authority %s: an IPv6 address needs brackets", quote(s))
	}
	name, err := CanonicalHost(host)
	if err != nil {
		return "", 0, err
	}
	if digits == "" {
		if fallback == 0 {
			return "", 0, fmt.Errorf("bad authority %s: no port", quote(s))
		}
		return name, fallback, nil
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 || digits[0] == '0' {
		return "", 0, fmt.Errorf("bad authority %s: bad port", quote(s))
	}
	return name, int(port), nil
}

// Authority is the inverse of SplitAuthority: the port is left out where it is
// the default one.
func Authority(host string, port, standard int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == standard {
		return host
	}
	return host + ":" + strconv.Itoa(port)
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// quote shows input of any length and content in an error.
func quote(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return strconv.QuoteToASCII(s)
}
