package dash

import (
	"strings"
	"testing"
)

func TestCells(t *testing.T) {
	for text, want := range map[string]string{
		"plain 漢字 é ж ü":        "plain 漢字 é ж ü",
		"a\tb":                  `a\tb`,
		"e\u0301":               `e\u0301`,
		"\U0001f468\u200d!":     "\U0001f468" + `\u200d!`,
		"\U0001f1e9\U0001f1ea.": `\U0001f1e9\U0001f1ea.`,
		"1\ufe0f\u20e3":         `1\ufe0f\u20e3`,
		"\u0301":                `\u0301`,
		"\U0001f44d\U0001f3fd":  "\U0001f44d" + `\U0001f3fd`,
		"\x1b[2J":               `\u001b[2J`,
	} {
		if got := cells(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// Whatever is written, every terminal draws it as wide as the screen thinks, and
// nothing is lost.
func FuzzCells(f *testing.F) {
	f.Add(strange)
	f.Add(nasty)
	f.Fuzz(func(t *testing.T, text string) {
		got := cells(text)
		if n, sure := drawn(got); !sure {
			t.Errorf("%q is %q: %d cells", text, got, n)
		}
		if cells(got) != got {
			t.Errorf("%q is not as %q", cells(got), got)
		}
		for _, width := range []int{40, 47} {
			for _, l := range wrap(text, width) {
				if n, sure := drawn(l); n > width || !sure {
					t.Errorf("%q has a line of %d", text, n)
				}
			}
		}
		if whole := strings.Join(wrap(text, 1<<20), "\n"); len(strings.TrimSpace(text)) > 0 && whole == "" {
			t.Errorf("nothing is left of %q", text)
		}
	})
}
