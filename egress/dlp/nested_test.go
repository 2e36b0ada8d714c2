package dlp

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// noise is n bytes of text that packs to half of it, and never as it is.
func noise(n int) string {
	r := rand.New(rand.NewPCG(11, 12))
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return hex.EncodeToString(b)
}

// rot47 is an encoding that nothing finds.
func rot47(s string) string {
	return strings.Map(func(r rune) rune { return '!' + (r-'!'+47)%94 }, s)
}

// TestPartAsLongAsItIsDecoded asserts that a part is searched although what it
// decodes to has the same length.
func TestPartAsLongAsItIsDecoded(t *testing.T) {
	s, r := New([]string{canary}), rand.New(rand.NewPCG(1, 2))
	for same := 0; same < 3; {
		head := make([]byte, 400+r.IntN(100))
		for i := range head {
			head[i] = byte(r.Uint32())
		}
		text := string(head) + strings.Repeat("z", r.IntN(40)) + canary + " " + canary + " " + canary[:r.IntN(20)]
		coded := brotlied(text)
		if len(coded) != len(text) || strings.Contains(coded, canary) {
			continue
		}
		same++
		body := partOf("Content-Encoding: br\r\n", coded)
		if _, hits, err := s.Body(body0("multipart/form-data; boundary=b", body)); err != nil || !known(hits) {
			t.Errorf("%d bytes: %v %v", len(text), hits, err)
		}
	}
}

// TestPartsInOddEncodings asserts on headers that readers take differently.
func TestPartsInOddEncodings(t *testing.T) {
	s := New([]string{canary})
	for name, part := range map[string]string{
		"second encoding counts": partOf("Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: Quoted-Printable\r\n", "=62"+quoted(canary[1:])),
		"zlib":                   partOf("", zlibbed(canary+" and "+canary)),
	} {
		if _, hits, err := s.Body(body0("multipart/form-data; boundary=b", part)); err != nil || !known(hits) {
			t.Errorf("%s: %v %v", name, hits, err)
		}
	}
}

// TestRunsAreCoveredInEachPlace asserts that a run whose find fell together
// with another one is covered where it stands again.
func TestRunsAreCoveredInEachPlace(t *testing.T) {
	s := New([]string{canary})
	run := std64(gzipped(noise(3000) + canary))
	run = strings.TrimRight(run, "=")
	body := run + canary[:5] + "..." + canary[5:] + " then\n" + run + canary[:5] + ".\n"
	plain, hits, err := s.Body(body0("", body))
	if err != nil {
		t.Fatal(err)
	}
	rest := cover(t, plain, hits, '*')
	if _, again, err := s.Body(body0("", string(rest))); known(again) || err != nil {
		t.Errorf("again %v %v after %v", again, err, hits)
	}
}
