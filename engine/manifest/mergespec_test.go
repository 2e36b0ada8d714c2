package manifest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/cue/schema"
)

// generator makes random bottles whose parents come before them.
type generator struct {
	*rand.Rand
	shape string
}

func (g generator) parents(i int) []string {
	var out []string
	add := func(n int) {
		if name := fmt.Sprintf("b%d", n); n >= 0 && n < i && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	switch g.shape {
	case "chain":
		add(i - 1)
	case "diamond": // two in a row share both parents
		add(i/2*2 - 2)
		add(i/2*2 - 1)
		g.Shuffle(len(out), func(a, b int) { out[a], out[b] = out[b], out[a] })
	default:
		for range g.IntN(4) {
			add(g.IntN(i + 1))
		}
	}
	return out
}

// one declares each field or not; declared ones are often empty.
func (g generator) one(i int) string {
	var lines []string
	some := func(line string, choices ...string) {
		if g.IntN(3) == 0 {
			lines = append(lines, strings.ReplaceAll(fmt.Sprintf(line, choices[g.IntN(len(choices))]), "N", fmt.Sprint(i)))
		}
	}
	some("env: %s", "{}", "{A: aN}", "{A: aN, B: bN}", "{B: bN, C: cN, D: dN}", "{A: ''}")
	some("egress: %s", "{}", "{routes: []}", "{network: nN}", "{routes: [{host: hN.example.com}]}")
	some("agent_provider: %s", "{}", "{template: shell}", "{image: iN}")
	some("backend: %s", "docker")
	some("supervise: %s", "false")
	some("resources: %s", "{}", "{cpus: 1}", "{pids: 10N}", "{cpus: 2, memory: 2GiB}")
	some("workspace: %s", "{}", "{guest_path: /wN}")
	some("repositories: %s", "[]", "[/rN]")
	identity := []string{"{name: aN}", "{email: eN}", "{name: aN, email: eN}", "{name: '', email: eN}"}
	switch g.IntN(5) {
	case 0:
		some("git: {remotes: %s}", "{}")
		some("git_user: %s", identity...)
	case 1:
		some("git: {user: %s}", identity...)
	case 2:
		some("git: {remotes: {}, user: %s}", identity...)
	}
	return strings.Join(lines, "\n")
}

func TestMergeIsAsSpecified(t *testing.T) {
	spec, err := os.ReadFile("../../cue/schema/mergespec/merge.cue")
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 8
	for _, shape := range []string{"chain", "diamond", "list"} {
		for seed := range uint64(rounds) {
			t.Run(fmt.Sprintf("%s %d", shape, seed), func(t *testing.T) {
				t.Parallel()
				g := generator{rand.New(rand.NewPCG(seed, 1)), shape}
				compareMerges(t, string(spec), g)
			})
		}
	}
}

func compareMerges(t *testing.T, spec string, g generator) {
	files, bottles := map[string]string{}, &ast.StructLit{}
	for i := range 2 + g.IntN(29) {
		name, text := fmt.Sprintf("b%d", i), g.one(i)
		if parents := g.parents(i); len(parents) > 0 {
			text += "\nextends: [" + strings.Join(parents, ", ") + "]"
		}
		files["home/bottles/"+name+".yaml"] = text
		syntax, err := extractYAML([]byte(text))
		if err != nil {
			t.Fatal(err, text)
		}
		root := syntaxRoot(syntax).(*ast.StructLit)
		if !strings.Contains(text, "extends:") {
			root.Elts = append(root.Elts, &ast.Field{Label: ast.NewString("extends"), Value: &ast.ListLit{}})
		}
		bottles.Elts = append(bottles.Elts, &ast.Field{Label: ast.NewString(name), Value: root})
	}
	ctx := schema.NewContext()
	v := ctx.CompileString(spec).FillPath(cue.ParsePath("bottles"), ctx.BuildExpr(bottles)).LookupPath(cue.ParsePath("resolved"))
	if err := v.Validate(cue.Concrete(true)); err != nil {
		t.Fatal(errors.Details(err, nil))
	}
	o := tree(t, files)
	l := &loader{options: o, found: find(o), agents: map[*file]*declaredAgent{}, broken: map[string]bool{}, fleet: &Fleet{Bottles: map[string]*Bottle{}}}
	if err := l.startJudges(); err != nil {
		t.Fatal(err)
	}
	l.shapes()
	l.lineage()
	l.resolve()
	if problems := l.diagnostics(); len(problems) > 0 {
		t.Fatal(problems)
	}
	for name := range l.bottles.files {
		want := decoded(t, v.LookupPath(cue.MakePath(cue.Str(name))))
		got := decoded(t, ctx.BuildExpr(l.merged.resolved[name].syntax()))
		for _, empty := range []string{"env", "git_user", "git"} {
			if m, ok := want[empty].(map[string]any); ok && len(m) == 0 {
				delete(want, empty) // not declared anywhere
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-specified +merged):\n%s\n%v", name, diff, files)
		}
	}
}

func decoded(t *testing.T, v cue.Value) map[string]any {
	t.Helper()
	raw, err := v.MarshalJSON()
	if err != nil {
		t.Fatal(errors.Details(err, nil))
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
