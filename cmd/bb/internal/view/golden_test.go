package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/plan/plantest"
)

// pair is a plan that somebody reads, as the command line completes it.
type pair struct {
	group, name string
	plan        *plan.Plan
}

// pairs are all plans of plantest; where one ends something, in use.
func pairs() []pair {
	var list []pair
	for _, c := range plantest.Cases() {
		list = append(list, pair{c.Group, c.Name, c.Plan()})
		p := c.Plan()
		busy := 0
		for i := range p.Changes {
			if x := &p.Changes[i]; x.Ends() || x.Kept {
				busy++
				x.Sessions = busy
			}
		}
		if busy > 0 && (c.Group == "removal" || c.Name == "one of each") {
			list = append(list, pair{c.Group, c.Name + ", in use", p})
		}
	}
	return list
}

func text(t *testing.T, p *plan.Plan, st Style) string {
	t.Helper()
	var b bytes.Buffer
	if err := Plan(&b, p, st); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestGolden: what people read of every plan, with and without colour; the
// escape character is written as ␛. BB_UPDATE=1 writes the files anew.
func TestGolden(t *testing.T) {
	files := map[string]*txtar.Archive{}
	for _, p := range pairs() {
		for _, st := range []Style{{HomeDir: "/home/u"}, {HomeDir: "/home/u", Color: true}} {
			file := p.group
			if st.Color {
				file = "color"
				if p.name != "one of each" && p.name != "not declared is kept" && p.name != "nothing desired and nothing there" {
					continue
				}
			}
			if files[file] == nil {
				files[file] = &txtar.Archive{}
			}
			got := strings.ReplaceAll(text(t, p.plan, st), "\x1b", "␛")
			if p.group != "removal" && !st.Color {
				got += Summary("Applied", p.plan.Summary(), p.plan.Unchanged) + "\n"
			}
			files[file].Files = append(files[file].Files, txtar.File{Name: p.name, Data: []byte(got)})
		}
	}
	for name, a := range files {
		plantest.Golden(t, name, a)
	}
}

// TestColorChangesNothingElse: without its colours a plan is the plain one.
func TestColorChangesNothingElse(t *testing.T) {
	for _, p := range pairs() {
		plain, colored := text(t, p.plan, Style{}), text(t, p.plan, Style{Color: true})
		for _, c := range colors {
			colored = strings.ReplaceAll(colored, "\x1b["+c+"m", "")
		}
		if d := cmp.Diff(plain, strings.ReplaceAll(colored, "\x1b[0m", "")); d != "" {
			t.Errorf("%s: %s", p.name, d)
		}
		if strings.Contains(plain, "\x1b") {
			t.Errorf("%s: colour without being asked", p.name)
		}
	}
}

// TestEverythingHasWords: a reason, a drift and an action that people see is
// said in words; an identifier is for programs.
func TestEverythingHasWords(t *testing.T) {
	for _, p := range pairs() {
		out := text(t, p.plan, Style{})
		for _, c := range p.plan.Changes {
			if headline(c) == "" && c.Reasons[0] != plan.Requested {
				t.Errorf("%s: %s %v: no word", p.name, c.Action, c.Reasons)
			}
			if c.Action.Symbol() == "" || c.Action != plan.None && colors[c.Action] == "" {
				t.Errorf("%s: no mark or colour", c.Action)
			}
			for _, r := range c.Reasons {
				if strings.Contains(string(r), "_") && strings.Contains(out, string(r)) {
					t.Errorf("%s: %s is no word\n%s", p.name, r, out)
				}
			}
		}
		for _, d := range p.plan.Drift {
			if remedies[d.Then] == "" {
				t.Errorf("%s: %s has no remedy", p.name, d.Then)
			}
		}
	}
}

// TestFitsScreen: marks, names and the first reason stand within one line or
// little more of 80 columns, and no line ends in blanks.
func TestFitsScreen(t *testing.T) {
	for r, phrase := range phrases {
		if len(phrase) > 66 {
			t.Errorf("%s: %d columns", r, len(phrase))
		}
	}
	for _, p := range pairs() {
		for line := range strings.Lines(text(t, p.plan, Style{})) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "Plan:") && len(line) > 110 || strings.TrimRight(line, " \t") != line {
				t.Errorf("%s: %q", p.name, line)
			}
		}
		for _, c := range p.plan.Changes {
			if head := fmt.Sprintf("%3s %-14s %-9s ", c.Action.Symbol(), c.ID, c.Backend); len(head) > 30 {
				t.Errorf("%s: %q", p.name, head)
			}
		}
	}
}
