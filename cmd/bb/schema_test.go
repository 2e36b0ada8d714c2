package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schema validates every JSON value of a file: schema NAME FILE.
func schema(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: schema NAME FILE")
	}
	const dir = "../../docs/schema"
	c := jsonschema.NewCompiler()
	for _, name := range []string{"plan.json", "events.json"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		ts.Check(err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		ts.Check(err)
		ts.Check(c.AddResource(doc.(map[string]any)["$id"].(string), doc))
	}
	s, err := c.Compile("https://bot-bottle.github.io/bb/schema/" + args[0])
	ts.Check(err)
	count := 0
	for d := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(args[1])))); ; count++ {
		d.UseNumber()
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			ts.Fatalf("%s: %v", args[1], err)
		}
		if err := s.Validate(v); err != nil {
			ts.Fatalf("%v: %v", v, err)
		}
	}
	if count == 0 {
		ts.Fatalf("%s holds no JSON", args[1])
	}
}
