package schema

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/encoding/jsonschema"
)

// Source is the schema as one CUE file of package schema.
func Source() string {
	const clause = "package schema\n"
	names, _ := fs.Glob(files, "*.cue") // a constant pattern
	var out strings.Builder
	out.WriteString(clause)
	for _, name := range names {
		src, _ := files.ReadFile(name) // embedded
		out.WriteString("\n" + strings.TrimSpace(strings.TrimPrefix(string(src), clause)) + "\n")
	}
	return out.String()
}

// JSON is the schema as JSON Schema for editors: "#/$defs/Bottle", "Agent" and
// "ProviderFile". Rules across fields are left to bb itself.
func JSON() ([]byte, error) {
	ctx := NewContext()
	root, err := compile(ctx, files, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	defs := map[string]any{}
	for _, name := range []string{"Bottle", "Agent", "ProviderFile"} {
		expr, err := jsonschema.Generate(root.LookupPath(cue.MakePath(cue.Def(name))), nil)
		if err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		raw, err := ctx.BuildExpr(expr).MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		var doc map[string]any
		if err := json.Unmarshal(raw, &doc); err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		shared, _ := doc["$defs"].(map[string]any) // none is fine
		for key, def := range shared {
			defs[key] = tidy(def)
		}
		delete(doc, "$defs")
		delete(doc, "$schema")
		defs[name] = tidy(doc)
	}
	return json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "manifests of bb",
		"anyOf":   []any{map[string]any{"$ref": "#/$defs/Bottle"}, map[string]any{"$ref": "#/$defs/Agent"}, map[string]any{"$ref": "#/$defs/ProviderFile"}},
		"$defs":   defs,
	}, "", "  ")
}

// tidy takes out what CUE's error() becomes: an alternative that is never
// true. One alternative alone is no choice and joins what stands beside it.
func tidy(v any) any {
	switch x := v.(type) {
	case []any:
		for i := range x {
			x[i] = tidy(x[i])
		}
	case map[string]any:
		for key, value := range x {
			x[key] = tidy(value)
		}
		if choices, ok := x["anyOf"].([]any); ok {
			join(x, choices)
		}
	}
	return v
}

func join(schema map[string]any, choices []any) {
	var open []any
	for _, c := range choices {
		if c != false {
			open = append(open, c)
		}
	}
	schema["anyOf"] = open
	only, ok := open[0].(map[string]any)
	if len(open) != 1 || !ok {
		return
	}
	for key, value := range only {
		// "number" beside "integer" says less than what is there.
		if beside, there := schema[key]; there && key != "type" && !reflect.DeepEqual(beside, value) {
			return
		}
	}
	delete(schema, "anyOf")
	for key, value := range only {
		if _, there := schema[key]; !there {
			schema[key] = value
		}
	}
}
