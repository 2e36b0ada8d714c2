package plan_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/plan/plantest"
)

// render is all that a plan says, and the graph that it will do.
func render(p *plan.Plan) string {
	var b strings.Builder
	for _, d := range p.Drift {
		fmt.Fprintf(&b, "drift %s %s: %s; then %s\n", where(d.ID.Scope, d.ID.String()), d.Kind, d.Text, d.Then)
	}
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%s %s %s %v", c.Action, where(c.ID.Scope, c.ID.String()), c.Backend, c.Reasons)
		for word, on := range map[string]bool{" kept": c.Kept, " fresh": c.Fresh} {
			if on {
				b.WriteString(word) // never both
			}
		}
		b.WriteString("\n")
		if c.Note != "" {
			fmt.Fprintf(&b, "    %s\n", c.Note)
		}
		for _, d := range c.Diff {
			line := fmt.Sprintf("    %s %s: %q -> %q", d.Kind, d.Path, d.Old, d.New)
			if d.Opaque {
				line = fmt.Sprintf("    %s %s", d.Kind, d.Path)
			}
			b.WriteString(line + "\n")
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note %s\n", n.Error())
	}
	fmt.Fprintf(&b, "unchanged %d\n%s", p.Unchanged, p)
	return b.String()
}

func where(scope, id string) string {
	if scope == plantest.Home {
		return id
	}
	return scope[:1] + "/" + id
}

// TestGolden: what every pair of desired and observed plans, in one file for
// each group. BB_UPDATE=1 writes them anew: read what was written.
func TestGolden(t *testing.T) {
	got, groups := map[string]*txtar.Archive{}, []string{}
	for _, c := range plantest.Cases() {
		if got[c.Group] == nil {
			got[c.Group] = &txtar.Archive{}
			groups = append(groups, c.Group)
		}
		a := got[c.Group]
		a.Files = append(a.Files, txtar.File{Name: c.Name, Data: []byte(render(c.Plan()))})
	}
	for _, g := range groups {
		plantest.Golden(t, g, got[g])
	}
}

// TestGoldensCoverEveryWord: no action, reason or kind of drift that a plan
// can speak is without a pair that makes it.
func TestGoldensCoverEveryWord(t *testing.T) {
	spoken := map[string]bool{}
	for _, c := range plantest.Cases() {
		p := c.Plan()
		for _, x := range p.Changes {
			spoken[string(x.Action)] = true
			for _, r := range x.Reasons {
				spoken[string(r)] = true
			}
		}
		for _, d := range p.Drift {
			spoken[string(d.Kind)] = true
		}
	}
	source := ""
	for _, f := range []string{"change.go", "drift.go"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source += string(b)
	}
	words := 0
	for line := range strings.Lines(source) {
		f := strings.Fields(line)
		if len(f) != 4 || f[2] != "=" || f[1] != "Action" && f[1] != "Reason" && f[1] != "DriftKind" {
			continue
		}
		words++
		// An unchanged instance is only counted, and only Undo says half_made.
		if word := strings.Trim(f[3], `"`); !spoken[word] && word != "none" && word != "half_made" {
			t.Errorf("no pair makes %s", word)
		}
	}
	if words < 40 {
		t.Errorf("only %d words found in the source", words)
	}
}
