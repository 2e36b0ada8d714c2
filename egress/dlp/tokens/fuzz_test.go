package tokens

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// inContext are the detectors whose find is nothing without what stands
// around it.
var inContext = []string{
	"AWS secret key", "Azure storage key", "Azure bus key", "Mailgun key", "Twilio key", "password in an address",
}

func FuzzFind(f *testing.F) {
	d := newDraw(99)
	for _, s := range samples {
		made := s.make(d)
		f.Add("see " + made + "\n")
		f.Add(made[:len(made)*3/4])
	}
	for _, format := range formats {
		f.Add(strings.Join(format.literals, ""))
	}
	f.Fuzz(func(t *testing.T, text string) {
		hits := find(text)
		if diff := cmp.Diff(hits, find(text)); diff != "" {
			t.Fatalf("two searches differ:\n%s", diff)
		}
		for _, h := range hits {
			if h.Start < 0 || h.Start >= h.End || h.End > len(text) {
				t.Fatalf("%v is out of bounds of %d bytes", h, len(text))
			}
			if slices.Contains(inContext, h.Name) {
				continue
			}
			if again := (hit{h.Name, 0, h.End - h.Start}); !slices.Contains(find(text[h.Start:h.End]), again) {
				t.Fatalf("%v is not found again in its bounds: %q", h, text[h.Start:h.End])
			}
		}
	})
}

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
