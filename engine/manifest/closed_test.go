package manifest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// everything is valid in shape and uses each map of the schema.
const everything = `
extends: [base]
env: {A: x}
agent_provider: {template: shell}
git_user: {name: a}
git:
  remotes:
    origin: {upstream: "https://example.com/a", token_ref: {command: [a]}, push: true}
egress:
  parent: {url: "http://example.com"}
  routes:
    - host: a.example.com
      matches: [{methods: [GET]}]
      auth: {scheme: Bearer, token_ref: {command: [a]}}
      pipelock: {tls_passthrough: true}
      git: {fetch: true}
      dlp: {on_match: block}
resources: {pids: 100}
workspace: {mode: copy}
`

const everythingOfAnAgent = "bottle: dev\ngit: {user: {name: a}}\nskills: [a]\n"

const everythingOfAProvider = `
program: {run: [a]}
env: {A: x}
directories: [{path: ~/a}]
files: [{path: ~/b, content: ""}]
routes: [{host: a.example.com, pipelock: {tls_passthrough: true}}]
auth_token: {host: a.example.com}
prompt: {file: ~/c}
`

// A random key in any map must be refused, at that key. It is the test that
// keeps a definition from being left open by a validator inside it.
func TestUnknownKeyAnywhere(t *testing.T) {
	j, err := newJudge()
	if err != nil {
		t.Fatal(err)
	}
	refusals := 0
	for _, c := range []struct {
		kind kind
		text string
	}{{bottleKind, everything}, {agentKind, everythingOfAnAgent}, {providerKind, everythingOfAProvider}} {
		for _, at := range mapsOf(t, c.kind, c.text) {
			if at == "env" || at == "git.remotes" {
				continue // keys are free there
			}
			for _, key := range []string{"zzkey", "_zzkey", "#zzkey", "__zz", "Host", "a b", "1", ""} {
				f := read(t, c.kind, c.text)
				insert(f, at, key)
				j.check(f)
				want := fmt.Sprintf("unknown key %q", key)
				found := false
				for _, d := range f.problems {
					found = found || strings.HasPrefix(d.Message, want) && d.Line == insertedLine
				}
				if !found {
					t.Errorf("key %q in %q of a %s: %v", key, at, c.kind, f.problems)
				}
				refusals++
			}
		}
	}
	if refusals < 100 {
		t.Errorf("only %d keys tried", refusals)
	}
}

const insertedLine = 999

func read(t *testing.T, k kind, text string) *file {
	t.Helper()
	f := &file{kind: k, path: "x.yaml", shown: "x.yaml"}
	f.readYAML([]byte(text))
	if f.root == nil {
		t.Fatal(f.problems)
	}
	return f
}

// mapsOf lists the paths of all maps in a valid text.
func mapsOf(t *testing.T, k kind, text string) []string {
	t.Helper()
	j, err := newJudge()
	if err != nil {
		t.Fatal(err)
	}
	f := read(t, k, text)
	if j.check(f); len(f.problems) > 0 {
		t.Fatal(f.problems)
	}
	var out []string
	var visit func(*node)
	visit = func(n *node) {
		if n.kind == isMap {
			out = append(out, n.path)
		}
		for _, child := range append(n.fields, n.items...) {
			visit(child)
		}
	}
	visit(f.root)
	return out
}

// TestOpenDefinitionsInEnvironment runs the test above, and a whole load, in a
// process whose environment asks CUE to leave definitions open.
func TestOpenDefinitionsInEnvironment(t *testing.T) {
	for _, debug := range []string{"opendef", "opendef=1,sharing=0"} {
		cmd := exec.Command(os.Args[0], "-test.run=^(TestUnknownKeyAnywhere|TestWant)$", "-test.v")
		cmd.Env = append(os.Environ(), "CUE_DEBUG="+debug)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestUnknownKeyAnywhere") {
			t.Errorf("with CUE_DEBUG=%s: %v\n%s", debug, err, out)
		}
	}
}
