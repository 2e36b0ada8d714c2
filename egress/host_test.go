package egress

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

// Attack A6.
func TestCanonicalHost(t *testing.T) {
	for in, want := range map[string]string{
		"a.example": "a.example", "A.Example": "a.example", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"localhost": "localhost", "_egress.local": LocalHost, "1.2.3.4": "1.2.3.4", "[2001:DB8::1]": "2001:db8::1",
		"2001:db8::1": "2001:db8::1", "1a.2b": "1a.2b", "0x.com": "0x.com", "1.example": "1.example",
	} {
		if got, err := CanonicalHost(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", ".", "a.", ".a", "a..b", "a b", "a\x00.google.com", "a\n", "a_b.example", "_dmarc.example", "-a.example",
		"a-.example", "b\u00fccher.example", "a\uff0eexample", "a/b", "a@b", "a\\b", "a%00", "*.example",
		strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "aa",
		"0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "127.0.1", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
		"a.0x1f", "a.1", "1.2.3.4.", "0x",
		"[::1", "::1]", "[[::1]]", "[]", "[1.2.3.4]", "[::1%lo]", "::1%1", "::ffff:1.2.3.4", "2001:0db8::1", "[::1]:80", "a:80", ":",
		"0:0:0:0:0:0:0:1",
	} {
		if got, err := CanonicalHost(in); err == nil {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}

func TestSplitAuthority(t *testing.T) {
	for in, want := range map[string]string{
		"a.example": "a.example:443", "a.example:80": "a.example:80", "[2001:db8::1]": "[2001:db8::1]:443", "[::1]:80": "[::1]:80",
	} {
		host, port, err := SplitAuthority(in, 443)
		if got := Authority(host, port, 0); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", ":80", "a:", "a:0", "a:00080", "a:+80", "a:65536", "a:80:80", "::1", "::1:80", "[::1]x:80", "a:http", "u@a:80"} {
		if host, port, err := SplitAuthority(in, 443); err == nil {
			t.Errorf("%q is taken for %q %d", in, host, port)
		}
	}
}

var (
	dnsName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	number  = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)
)

// hostByRegexp is the second implementation that FuzzCanonicalHost compares.
func hostByRegexp(s string) (string, bool) {
	lower := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
	if len(s) > 253 {
		return "", false
	}
	bare := lower
	if len(lower) > 1 && lower[0] == '[' && lower[len(lower)-1] == ']' {
		bare = lower[1 : len(lower)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil {
		ok := a.String() == bare && a.Zone() == "" && !a.Is4In6() && (a.Is6() || bare == lower)
		return bare, ok
	}
	if lower == LocalHost {
		return lower, true
	}
	return lower, dnsName.MatchString(lower) && !number.MatchString(lower)
}

func FuzzCanonicalHost(f *testing.F) {
	for _, s := range []string{"a.example", "1.2.3.4", "[::1]", "0x7f.1", "a_b", "_egress.local", "::ffff:1.2.3.4", "A..b", "\u212a.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := CanonicalHost(s)
		want, ok := hostByRegexp(s)
		if (err == nil) != ok || ok && got != want {
			t.Fatalf("%q: %q, %v; the second reading is %q, %v", s, got, err, want, ok)
		}
		if err == nil {
			if again, err := CanonicalHost(got); err != nil || again != got {
				t.Fatalf("%q is not stable: %q, %v", got, again, err)
			}
		}
	})
}
