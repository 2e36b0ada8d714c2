package schema

import (
	"strings"
	"testing"
	"testing/fstest"

	"cuelang.org/go/cue"
)

// A broken schema must say so when it is built: later, a lookup in it would
// only say that #Bottle is not there.
func TestBuildReportsABrokenSchema(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"unused import":     {"package schema\nimport \"strings\"\n#A: {a?: string}\n", "imported and not used"},
		"unknown reference": {"package schema\n#A: {a?: #B}\n", "#B"},
		"syntax":            {"package schema\n#A: {\n", "parse schema"},
		"contradiction":     {"package schema\n#A: {a: 1 & 2}\n", "conflicting"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compile(NewContext(), fstest.MapFS{"a.cue": {Data: []byte(c.src)}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestBuildJoinsFiles(t *testing.T) {
	v, err := compile(NewContext(), fstest.MapFS{
		"a.cue": {Data: []byte("package schema\nimport \"strings\"\n#A: {a?: #B & strings.MinRunes(2)}\n")},
		"b.cue": {Data: []byte("package schema\n#B: string\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !v.LookupPath(cue.ParsePath("#A")).Exists() {
		t.Error("#A is not there")
	}
}
