package schema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/format"

	"github.com/bot-bottle/bb/cue/schema"
)

func TestSchemaIsValid(t *testing.T) {
	v, err := schema.Build(schema.NewContext())
	if err != nil {
		t.Fatal(errors.Details(err, nil))
	}
	for _, definition := range []string{"#Bottle", "#Agent", "#Lineage"} {
		d := v.LookupPath(cue.ParsePath(definition))
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %s", definition, errors.Details(err, nil))
		}
		if !d.Exists() {
			t.Errorf("%s is not there", definition)
		}
	}
}

// Every definition is closed: an unknown key next to nothing else is refused.
func TestEveryStructIsClosed(t *testing.T) {
	ctx := schema.NewContext()
	v, err := schema.Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	free := map[string]bool{"#Env": true, "#Remotes": true, "#Lineage": true}
	iter, err := v.Fields(cue.Definitions(true))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for iter.Next() {
		name := iter.Selector().String()
		if iter.Value().IncompleteKind()&cue.StructKind == 0 || free[name] {
			continue
		}
		count++
		if err := iter.Value().Unify(ctx.CompileString(`{"zz key": 1}`)).Validate(); err == nil {
			t.Errorf("%s is open", name)
		}
	}
	if count < 12 {
		t.Errorf("only %d definitions seen", count)
	}
}

func TestSchemaIsFormatted(t *testing.T) {
	names, err := filepath.Glob("*.cue")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	names = append(names, "mergespec/merge.cue")
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := format.Source(src)
		if err != nil {
			t.Fatal(err)
		}
		if string(src) != string(want) {
			t.Errorf("%s is not formatted as cue fmt does", name)
			if os.Getenv("BB_UPDATE") != "" {
				if err := os.WriteFile(name, want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// One place makes contexts, so that no other can forget the empty CUE_DEBUG.
func TestOneConstructorOfContexts(t *testing.T) {
	var places []string
	for _, root := range []string{"../../cue", "../../engine", "../../cmd", "../../backends", "../../egress"} {
		err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil //nolint:nilerr // a room that is not there yet
			}
			src, err := os.ReadFile(path)
			if strings.Contains(string(src), "cuecontext.New") {
				places = append(places, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(places) != 1 || filepath.Base(places[0]) != "embed.go" {
		t.Errorf("contexts are made in %v", places)
	}
}
