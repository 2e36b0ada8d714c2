package tokens

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type hit struct {
	Name       string
	Start, End int
}

func find(text string) []hit {
	var hits []hit
	Find([]byte(text), func(name string, start, end int) { hits = append(hits, hit{name, start, end}) })
	return hits
}

func newDraw(seed uint64) draw { return draw{rand.New(rand.NewPCG(seed, 1))} }

// cut returns the credential in what a sample made.
func (s sample) cut(made string) string {
	if s.token == nil {
		return made
	}
	return s.token(made)
}

func TestEveryDetectorHasASample(t *testing.T) {
	var names []string
	for _, s := range samples {
		names = append(names, s.name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(Detectors(), slices.Compact(names)); diff != "" {
		t.Errorf("detectors and samples differ (-detectors +samples):\n%s", diff)
	}
}

// TestFound: every form, wherever it stands, with the bounds of the credential
// and nothing around it.
func TestFound(t *testing.T) {
	around := []struct{ name, before, after string }{
		{"alone", "", ""},
		{"at the start", "", " is it"},
		{"at the end", "it is ", ""},
		{"in JSON", `{"a":"`, `","b":1}`},
		{"in JSON in JSON", `{"a":"{\"k\":\"`, `\"}"}`},
		{"after an escape", `{"a":"it is\n`, `\nthere"}`},
		{"in an address", "https://api.internal/v1?key=", "&x=1"},
		{"encoded in an address", "https://api.internal/v1?q=key%3D", "%26x"},
		{"in a header", "Bearer ", "\n"},
		{"in a sentence", "I use ", ". And then"},
		{"in a diff", "@@ -1 +1 @@\n+", "\n-"},
		{"removed in a diff", "@@ -1 +1 @@\n-", "\n+"},
		{"in code", "key = '", "';"},
		{"in Markdown", "`", "`"},
		{"in XML", "<k>", "</k>"},
	}
	for i, s := range samples {
		t.Run(s.form, func(t *testing.T) {
			d := newDraw(uint64(i))
			for _, a := range around {
				for range 5 {
					made := s.make(d)
					token := s.cut(made)
					text := a.before + made + a.after
					start := strings.Index(text, token)
					want := hit{s.name, start, start + len(token)}
					if got := find(text); !slices.Contains(got, want) {
						t.Fatalf("%s: found %v, want %v in:\n%s", a.name, got, want, text)
					}
				}
			}
		})
	}
}

// TestNotFoundWhenSpoiled: a credential inside a longer word, or cut short, is
// none.
func TestNotFoundWhenSpoiled(t *testing.T) {
	for i, s := range samples {
		t.Run(s.form, func(t *testing.T) {
			d := newDraw(uint64(i))
			for range 20 {
				made := s.make(d)
				token := s.cut(made)
				at := strings.Index(made, token)
				left := len(token) - 5
				if s.open || s.name == "private key" {
					left = 12
				}
				want(t, s.name, "cut short", made[:at+left]+" "+made[at+len(token):])
				if s.open || s.name == "private key" || s.name == "Discord webhook" {
					continue
				}
				want(t, s.name, "longer", made[:at]+token+"q7"+made[at+len(token):])
				if s.token == nil {
					want(t, s.name, "inside a word", "q7"+made)
				}
			}
		})
	}
}

// want asserts that no hit of the named detector is in text.
func want(t *testing.T, name, why, text string) {
	t.Helper()
	for _, h := range find(text) {
		if h.Name == name {
			t.Fatalf("%s: found %v in:\n%s", why, h, text)
		}
	}
}

// TestChecksums: where a format has a checksum, no other last character will
// do, and no other first.
func TestChecksums(t *testing.T) {
	forms := []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "npm_", "glsa_", "age", "glpat- routable", "glpat- routable.01"}
	for i, s := range samples {
		if !slices.Contains(forms, s.form) {
			continue
		}
		forms = slices.DeleteFunc(forms, func(f string) bool { return f == s.form })
		d := newDraw(uint64(i))
		for range 50 {
			made := []byte(s.make(d))
			at := strings.IndexAny(string(made), "_-") + 1
			if s.form == "age" {
				at = len("AGE-SECRET-KEY-1")
			}
			for _, k := range []int{at, at + 3, len(made) - 1, len(made) - 5} {
				spoiled := slices.Clone(made)
				spoiled[k] = map[bool]byte{true: '7', false: '8'}[spoiled[k] == '8']
				if string(spoiled) == string(made) {
					continue
				}
				want(t, s.name, s.form, string(spoiled))
			}
		}
	}
	if len(forms) > 0 {
		t.Errorf("no sample for %v", forms)
	}
}
