package manifest

import (
	"slices"
	"testing"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/cue/schema"
)

// merged is a part as a merge would leave it behind.
func merged[T any](t *testing.T, value T, text string) part[T] {
	t.Helper()
	expr, err := parser.ParseExpr("x", text)
	if err != nil {
		t.Fatal(err)
	}
	return part[T]{value: value, set: true, expr: expr}
}

// No chain of valid files ends so today; the second judgement is what keeps it
// true when a merge rule changes. It is the same for all who inherit a part.
func TestMergedBottleIsJudgedAgain(t *testing.T) {
	j, err := newJudge()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		p    *policy
		want []string
	}{
		{"nothing", &policy{}, []string{}},
		{"empty identity", &policy{name: merged(t, "", `""`), email: merged(t, "", `""`)}, []string{"git_user needs a name or an email"}},
		{"identity", &policy{name: merged(t, "a", `"a"`), email: merged(t, "", `""`)}, []string{}},
		{"field of an identity", &policy{name: merged(t, "a", `"a"`), email: merged(t, "", `1`)}, []string{"git_user.email must be a string; got 1"}},
		{"enumeration", &policy{backend: merged(t, "", `"dokcer"`)}, []string{`backend must be one of "docker", "smolvm"; got "dokcer" (did you mean "docker"?)`}},
		{"unknown key below", &policy{egress: merged(t, Egress{}, `{routes: [{hst: "a"}]}`)}, []string{
			"egress.routes[0].host is required", `unknown key "hst" in egress.routes[0] (did you mean "host"?)`,
		}},
		{"environment", &policy{env: map[string]part[EnvVar]{"A": merged(t, EnvVar{}, `"x"`), "B": merged(t, EnvVar{}, `3`)}}, []string{"env.B must be a string; got a number (put the value in quotes)"}},
		{"name in the environment", &policy{env: map[string]part[EnvVar]{"A-B": merged(t, EnvVar{}, `"x"`)}}, []string{`"A-B" is not a valid name in env (letters, digits and underscores, not beginning with a digit)`}},
		{"remotes", &policy{remotes: merged(t, []Remote{}, `[]`)}, []string{"git.remotes must be a map; got a list"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				f := &file{kind: bottleKind, name: "dev", shown: "dev.md", root: &node{kind: isMap}}
				j.rejudge(f, c.p)
				var want []string
				for _, text := range c.want {
					want = append(want, "dev.md:1:1: after extends: "+text)
				}
				got := texts(f.problems)
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(want, got) {
					t.Error(cmp.Diff(want, got))
				}
			}
		})
	}
}

// soundParts judges fields alone but for what rules compare. This is the list
// of what they do: a rule about anything else must be added there.
func TestRulesCompareIdentitiesOnly(t *testing.T) {
	syntax, err := parser.ParseFile("schema.cue", schema.Source())
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	ast.Walk(syntax, func(n ast.Node) bool {
		clause, ok := n.(*ast.IfClause)
		if !ok {
			return true
		}
		rules++
		ast.Walk(clause.Condition, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && !slices.Contains([]string{"git_user", "git", "name", "email", "user"}, id.Name) {
				t.Errorf("a rule looks at %s", id.Name)
			}
			return true
		}, nil)
		return true
	}, nil)
	if rules < 5 {
		t.Errorf("only %d rules seen", rules)
	}
}
