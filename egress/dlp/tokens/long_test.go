//go:build !race

package tokens

import (
	"strings"
	"testing"
	"time"
)

// TestLinear: no text makes the search slow, above all none that repeats
// what gives a credential away. 64 KiB of clean text take 0.2 ms;
// a search of each key's reach from each literal would take seconds.
func TestLinear(t *testing.T) {
	const size, most = 64 << 10, 100 * time.Millisecond
	var nasty []string
	for _, f := range formats {
		for _, l := range f.literals {
			nasty = append(nasty, l, l+"a", l+"-", l+".", l+" ", l+"/", l+":", l+"1_eyJ", l+strings.Repeat("aB3d", 25), " "+l+strings.Repeat("aB3d", 250))
		}
	}
	const header = "eyJhbGciOiJIUzI1NiJ9."
	nasty = append(
		nasty, header, " "+header, " "+header+header, "-"+header, header+"e30.",
		"-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----:", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----a\n-",
		"PuTTY-User-Key-File-3: Private-Lines: 9999", "twilio SK", "a://a:", "a:",
	)
	for _, n := range nasty {
		text := []byte(strings.Repeat(n, size/len(n)+1))
		// The machine may be busy with something else once, and twice.
		best := time.Hour
		for try := 0; try < 4 && best > most; try++ {
			began := time.Now()
			Find(text, func(string, int, int) {})
			best = min(best, time.Since(began))
		}
		if best > most {
			t.Errorf("%q: %v for %d bytes", n[:min(40, len(n))], best, len(text))
		}
	}
}

// TestNoise: 50 MB of what no one wrote, as blobs and as words.
func TestNoise(t *testing.T) {
	const size = 5 << 20
	words := func(b []byte, every int) []byte {
		for i := every; i < len(b); i += every + i%7 {
			b[i] = " \n.\"/-="[i%7]
		}
		return b
	}
	for i, from := range []string{stdText, urlText, alnumText, hexChars, capitals, letters + " ", stdText, urlText, alnumText, hexChars} {
		b := noise(uint64(i), size, from)
		if i >= 6 {
			b = words(b, 34+i)
		}
		Find(b, func(name string, start, end int) {
			t.Errorf("%s in noise %d: %s", name, i, b[max(0, start-5):min(len(b), end+5)])
		})
	}
}
