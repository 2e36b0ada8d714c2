package tokens

import (
	"slices"
	"strings"
	"testing"

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
