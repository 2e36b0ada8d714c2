package manifest

import (
	"bytes"
	"testing"
	"time"
	"unicode/utf8"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/parser"
)

// slow is far beyond what a file may cost on a busy machine.
const slow = 5 * time.Second

func FuzzFrontmatter(f *testing.F) {
	for _, seed := range []string{
		md("env: {A: x}"), md(fullBottle), "---\n", "\ufeff---\r\na: 1\r\n---\r\nbody", "---\n---\n---\n", md("a: &a [*a]"), md("<<: {a: 1}"), md("a:\n\t- b"),
	} {
		f.Add([]byte(seed))
	}
	j, err := newJudge()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		start := time.Now()
		matter, body, m := splitFrontmatter(src)
		if m != nil {
			return
		}
		if len(matter)+len(body) > len(src) {
			t.Errorf("%d bytes became %d and %d", len(src), len(matter), len(body))
		}
		if bytes.Count(matter, []byte("\n")) > bytes.Count(src, []byte("\n")) {
			t.Error("lines were added")
		}
		manifest := &file{kind: bottleKind, path: "x.md", shown: "x.md"}
		manifest.readMarkdown(src)
		if manifest.root == nil && len(manifest.problems) == 0 {
			t.Error("refused without a word")
		}
		lines := 1 + bytes.Count(src, []byte("\n"))
		j.check(manifest)
		for _, d := range manifest.problems {
			if d.Line > lines {
				t.Errorf("line %d of %d: %s", d.Line, lines, d.Message)
			}
		}
		if took := time.Since(start); took > slow {
			t.Errorf("took %v", took)
		}
	})
}

// FuzzManifest holds bb against CUE alone: what the schema refuses as plain
// CUE data is never accepted.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{everything, fullBottle, everythingOfAnAgent, "git_user:\n", "env: {A: 1}", "a: b", "[a]", "- a", "extends: [x, 3]", "git: []", "a: .inf", "resources: {cpus: -1, pids: 1e3}"} {
		f.Add([]byte(seed), true, byte(0))
		f.Add([]byte(seed), false, byte(0))
	}
	for _, seed := range []string{
		`{"extends": ["a"], "env": {"A": "x"}}`, `{"a": 1, "a": 2}`, `{"resources": {"cpus": 1e400}}`, "[[[[", `{"_x": "\\(y)"}`, `{"bottle": "a", "prompt": "b"}`,
	} {
		f.Add([]byte(seed), true, byte(1))
		f.Add([]byte(seed), false, byte(1))
	}
	for _, seed := range []string{
		"package x\nbottle: \"a\"\nprompt: \"\"\"\n\tb\n\t\"\"\"", `egress: routes: [{host: "a.b", port: 1}]`, "_x: 1\n#y: {a: _x}\nresources: pids: #y.a + 30",
		"let l = [\"a.b\", \"c.d\"]\negress: routes: [for i, h in l if i > 0 {host: h}]", `env: "A\(1)": "x"`, "a: b\nb: a", `env: {A: B, B: #"x"#}`, "supervise?: true", `import "strings"`,
		"env: {A: '''\n\tx\n\t'''}", `git_user: name: ["a", "b"][1]`, "x: {y: x.z, z: 1}", "resources: cpus: -1 + 3/2", "if true {supervise: false}", `{extends: "a"}`, "env: null & {}", "a: _|_",
	} {
		f.Add([]byte(seed), true, byte(2))
		f.Add([]byte(seed), false, byte(2))
	}
	j, err := newJudge()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src []byte, bottle bool, format byte) {
		manifest := &file{kind: agentKind, path: "x.yaml", shown: "x.yaml"}
		if bottle {
			manifest.kind = bottleKind
		}
		start := time.Now()
		switch {
		case !utf8.Valid(src):
			return
		case format%3 == 0:
			manifest.readYAML(src)
		case format%3 == 1:
			manifest.readJSON(src)
		default:
			manifest.readCUE(src)
		}
		if manifest.runaway {
			t.Error("does not end")
		}
		if manifest.root == nil {
			if len(manifest.problems) == 0 {
				t.Error("refused without a word")
			}
			return
		}
		j.check(manifest)
		if bottle { // what a provider's file is decoded by goes through the same values
			(&file{kind: providerKind, name: "x", path: "x", root: manifest.root}).decodeCustom()
			manifest.decodeBottle().bottle(manifest, nil)
			newGraph([]*file{manifest}).judge(j)
		} else {
			manifest.decodeAgent().agent(manifest, &Bottle{})
		}
		if took := time.Since(start); took > slow {
			t.Errorf("took %v", took)
		}
		for _, d := range manifest.problems {
			if bytes.Contains([]byte(d.Message), []byte("internal error")) {
				t.Error(d.Error())
			}
		}
		if manifest.broken() {
			return
		}
		// Once more from text, through CUE's own parser.
		text := asJSON(t, manifest.root)
		expr, err := parser.ParseExpr("x.cue", text)
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if err := j.shapes[manifest.kind].value.Unify(j.ctx.BuildExpr(expr)).Validate(cue.Concrete(true)); err != nil {
			t.Errorf("accepted what the schema refuses: %v\n%s", err, text)
		}
	})
}
