package schema_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/encoding/jsonschema"
	"cuelang.org/go/encoding/yaml"

	"github.com/bot-bottle/bb/cue/schema"
)

// examples are the frontmatters that bb ships, by definition.
func examples(t *testing.T) map[string][]*ast.File {
	t.Helper()
	out := map[string][]*ast.File{}
	for definition, dir := range map[string]string{"Bottle": "bottles", "Agent": "agents"} {
		names, err := filepath.Glob("../../examples/" + dir + "/*.md")
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			parts := bytes.SplitN(src, []byte("---\n"), 3)
			file, err := yaml.Extract(name, parts[1])
			if err != nil {
				t.Fatal(err)
			}
			out[definition] = append(out[definition], file)
		}
	}
	return out
}

// wrong are mistakes that every schema of ours must see, by definition.
var wrong = map[string][]string{
	"Bottle": {
		"egres: {}", "supervise: 'yes'", "env: {A-B: x}", "env: {A: 1}", "egress: {routes: [{port: 443}]}",
		"egress: {routes: [{host: a, port: 65536}]}", "egress: {routes: [{host: a, role: x}]}", "backend: dokcer",
		"extends: [Base]", "resources: {pids: 3}", "resources: {pids: 16.5}", "resources: {memory: 4GB}", "git-gate: {}",
		"git: {remotes: {a: {}}}", "egress: {routes: [{host: a, auth: {scheme: Bearer}}]}", "skills: [a]", "repositories: [src]",
	},
	"ProviderFile": {
		"{}", "program: {}", "program: {run: x}", "program: {run: [x]}\negress: {}", "program: {run: [x]}\nfiles: [{path: /etc/x, content: ''}]",
		"program: {run: [x]}\nfiles: [{path: ~/x, mode: 420, content: ''}]", "program: {run: [x]}\nenv: {A-B: x}",
		"program: {run: [x]}\nroutes: [{host: a, prot: 1}]", "program: {run: [x]}\nauth_token: {env: A}",
		"program: {run: [x]}\nauth_token: {host: a, scheme: basic}", "program: {run: [x]}\nverify: [x]",
	},
	"Agent": {"skills: []", "bottle: Dev", "bottle: dev\nenv: {}", "bottle: dev\ngit: {remotes: {}}", "bottle: dev\nreplicas: -1", "bottle: dev\nskills: [A_b]"},
}

// judge checks that a value accepts the examples and refuses the mistakes.
func judge(t *testing.T, ctx *cue.Context, definition string, v cue.Value, also ...string) {
	t.Helper()
	for _, file := range examples(t)[definition] {
		if err := v.Unify(ctx.BuildFile(file)).Validate(cue.Concrete(true)); err != nil {
			t.Errorf("%s is refused: %s", file.Filename, errors.Details(err, nil))
		}
	}
	for _, text := range append(wrong[definition], also...) {
		file, err := yaml.Extract("wrong.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		if v.Unify(ctx.BuildFile(file)).Validate(cue.Concrete(true)) == nil {
			t.Errorf("%s accepts %q", definition, text)
		}
	}
}

// Source is what "cue vet -d '#Bottle' schema.cue dev.yaml" needs.
func TestSource(t *testing.T) {
	ctx := schema.NewContext()
	root := ctx.CompileString(schema.Source(), cue.Filename("schema.cue"))
	if err := root.Validate(); err != nil {
		t.Fatal(errors.Details(err, nil))
	}
	for definition := range wrong {
		// Rules across fields are part of the schema too.
		judge(t, ctx, definition, root.LookupPath(cue.MakePath(cue.Def(definition))), "bottle: dev\ngit_user: {}")
	}
	if strings.Count(schema.Source(), "package schema\n") != 1 || strings.Contains(schema.Source(), "resolved") {
		t.Error("not one file of the language alone")
	}
}

// The JSON Schema goes back through CUE's importer, which is what judges here.
func TestJSON(t *testing.T) {
	raw, err := schema.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Defs map[string]map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("anyOf\": [\n          false")) || len(doc.Defs) < 20 {
		t.Errorf("%d definitions:\n%s", len(doc.Defs), raw)
	}
	if text, _ := doc.Defs["Bottle"]["description"].(string); !strings.Contains(text, "policy") {
		t.Errorf("no comment came along: %q", text)
	}
	again, err := schema.JSON()
	if err != nil || !bytes.Equal(raw, again) {
		t.Error("not the same twice")
	}
	for definition := range wrong {
		ctx := schema.NewContext()
		var one map[string]any
		if err := json.Unmarshal(raw, &one); err != nil {
			t.Fatal(err)
		}
		delete(one, "anyOf")
		one["$ref"] = "#/$defs/" + definition
		src, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		file, err := jsonschema.Extract(ctx.CompileBytes(src), &jsonschema.Config{})
		if err != nil {
			t.Fatal(errors.Details(err, nil))
		}
		v := ctx.BuildFile(file)
		if err := v.Err(); err != nil {
			t.Fatal(errors.Details(err, nil))
		}
		judge(t, ctx, definition, v)
	}
}
