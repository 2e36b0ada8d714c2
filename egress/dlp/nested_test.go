package dlp

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
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

// TestFindsBehindMuchInPackedData asserts that packed data in packed data is
// followed to its end, however long both are.
func TestFindsBehindMuchInPackedData(t *testing.T) {
	s := New([]string{canary})
	long := noise(600_000) + canary
	for name, body := range map[string]string{
		"gzip twice":            gzipped(gzipped(long)),
		"gzip three times":      gzipped(gzipped(gzipped(long))),
		"gzip, base64, gzip":    gzipped(std64(gzipped(long))),
		"base64 of that":        std64(gzipped(std64(gzipped(long)))),
		"zip of gzip":           zipped("a", gzipped(long)),
		"JSON in base64 of zip": std64(zipped("a", `{"a":"`+std64(zstded(long))+`"}`)),
	} {
		if _, hits, err := s.Body(body0("", body)); err != nil || !known(hits) {
			t.Errorf("%s: %v %v", name, hits, err)
		}
	}
	// What looks like packed data in the middle of a long text is no end of it.
	harmless := std64(gzipped(strings.Repeat(std64(zlibbed(code)[:90])+" "+strings.Repeat(code, 40), 900)))
	if _, hits, err := s.Body(body0("", harmless)); err != nil || len(hits) > 0 {
		t.Errorf("a long text: %v %v", hits, err)
	}
	// What goes on beyond the longest piece cannot be followed.
	var stored bytes.Buffer
	w, _ := flate.NewWriter(&stored, flate.NoCompression)
	_, _ = w.Write([]byte(strings.Repeat(" ", 12<<20) + rot47(canary)))
	_ = w.Close()
	body := gzipped("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + stored.String())
	if _, hits, err := s.Body(body0("", body)); !errors.Is(err, egress.ErrTooDeep) {
		t.Errorf("longer than a piece: %v %v", hits, err)
	}
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

// TestSmallBodiesCostLittle asserts that work is bounded by what came in.
func TestSmallBodiesCostLittle(t *testing.T) {
	escaped := "%25%32%35%32%35 %2%35%32%35&#3%37; " + canary[:5]
	for range 6 {
		escaped = "%25%32%35%32%35 %2%35%32%35&#3%37; " + std64(escaped)
	}
	heads := strings.Repeat("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00\x0a\x00\xf5\xff", 1500)
	for name, c := range map[string]struct {
		media, body string
		codings     []string
	}{
		"rounds":   {"", strings.Repeat(escaped+" ", 150), nil},
		"heads":    {"", heads + strings.Repeat("\x00\x00\x00\xff\xff", 40_000) + "\x07", nil},
		"decoders": {"multipart/form-data; boundary=b", strings.Repeat("--b\r\nContent-Encoding: br\r\n\r\n"+brotlied("a")+"\r\n", 5000), nil},
		"bomb":     {"", gzipped(strings.Repeat("%25", 20<<20)), []string{"gzip"}},
	} {
		s, work := New([]string{canary}), 0
		s.worked = func(n int) { work = n }
		_, _, err := s.Body(body0(c.media, c.body, c.codings...))
		if !errors.Is(err, egress.ErrTooDeep) {
			t.Errorf("%s: %v after %d bytes of work for %d", name, err, work, len(c.body))
		}
		if most := 40 << 20; work > most {
			t.Errorf("%s: %s of work", name, fmt.Sprint(work))
		}
	}
}
