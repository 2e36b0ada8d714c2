package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/plan/plantest"
	"github.com/bot-bottle/bb/engine/spec"
)

func schemas(t *testing.T) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	for _, name := range []string{"plan.json", "events.json"} {
		raw, err := os.ReadFile(filepath.Join("../../../../docs/schema", name))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(doc.(map[string]any)["$id"].(string), doc); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := schemas(t).Compile("https://bot-bottle.github.io/bb/schema/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, raw []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// randomPairs are plans that nobody thought of.
func randomPairs(n uint64) []pair {
	var list []pair
	for seed := range n {
		d, worlds := plantest.Random(rand.New(rand.NewPCG(seed, 8)))
		list = append(list, pair{"random", fmt.Sprint(seed), plan.Diff(d, worlds)})
	}
	return list
}

// TestPlanSchema: docs/schema/plan.json describes every plan that bb prints,
// and nothing that bb does not.
func TestPlanSchema(t *testing.T) {
	s := compile(t, "plan.json")
	for _, p := range append(pairs(), randomPairs(100)...) {
		p.plan.Approved = []plan.Approved{
			{ID: spec.ID{Agent: "dev"}, Bottle: "dev", Kind: "route", Text: "t", Proposal: "p", By: "ann", At: time.Unix(0, 0)},
			{Bottle: "dev_2", Kind: "value", Text: "t", Proposal: "p", By: "ann", Why: "w", At: time.Unix(0, 0), Until: time.Unix(1, 0), LeftOut: "l"},
		}
		raw, err := json.Marshal(p.plan.JSON(diag.List{{Severity: diag.Error, File: "a.md", Line: 1, Col: 2, Path: "x", Message: "m", Hint: "h"}}))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(s, raw); err != nil {
			t.Errorf("%s: %v\n%s", p.name, err, raw)
		}
	}
	const change = `{"id": "dev", "backend": "docker", "actions": ["update"], "reasons": ["stopped"], "diff": [%s]%s}`
	good := func(field, more string) string {
		return `{"format_version": "1", "drift": [], "changes": [` + fmt.Sprintf(change, field, more) +
			`], "approved": [{"id": "dev_x1", "kind": "route", "text": "t", "proposal": "p", "by": "", "at": "2026-01-02T03:04:05Z"}], "summary": {"create":0,"update":0,"replace":0,"remove":0,"blocked":0,"kept":0,"unchanged":0}, "diagnostics": []}`
	}
	if err := validate(s, []byte(good("", ""))); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"unknown key":            good("", `, "more": 1`),
		"kept, but an update":    good("", `, "kept": true`),
		"no sessions":            good("", `, "sessions": 0`),
		"an opaque value shown":  good(`{"kind": "change", "path": "x", "opaque": true, "old": "v"}`, ""),
		"unknown kind":           good(`{"kind": "moved", "path": "x"}`, ""),
		"no path":                good(`{"kind": "add"}`, ""),
		"unknown reason":         strings.Replace(good("", ""), `"stopped"`, `"bored"`, 1),
		"two actions":            strings.Replace(good("", ""), `["update"]`, `["update", "start"]`, 1),
		"a creation and removal": strings.Replace(good("", ""), `["update"]`, `["create", "remove"]`, 1),
		"another version":        strings.Replace(good("", ""), `"1"`, `"2"`, 1),
		"no summary":             `{"format_version": "1", "drift": [], "changes": [], "approved": [], "diagnostics": []}`,
		"no approvals":           strings.Replace(good("", ""), `"approved"`, `"unapproved"`, 1),
		"approved by nobody":     strings.Replace(good("", ""), `"by": "", `, "", 1),
		"approved as what":       strings.Replace(good("", ""), `"kind": "route"`, `"kind": "image"`, 1),
	} {
		if validate(s, []byte(bad)) == nil {
			t.Errorf("%s is allowed", name)
		}
	}
}

// TestEventSchema: docs/schema/events.json describes the lines of an apply.
func TestEventSchema(t *testing.T) {
	s := compile(t, "events.json")
	ops := map[plan.Op]bool{}
	for _, p := range pairs() {
		for _, n := range p.plan.Nodes {
			ops[n.Op] = true
			for _, e := range []apply.Event{
				{Node: n, Status: apply.Started},
				{Node: n, Status: apply.Done, Elapsed: time.Second},
				{Node: n, Status: apply.Failed, Err: errors.New("x")},
				{Node: n, Status: apply.Skipped},
			} {
				var b bytes.Buffer
				JSONProgress(&b)(e)
				if err := validate(s, b.Bytes()); err != nil || strings.Count(b.String(), "\n") != 1 {
					t.Fatalf("%v: %s", err, b.String())
				}
			}
		}
	}
	if len(ops) != len(doing) {
		t.Errorf("%d of %d operations are in some plan", len(ops), len(doing))
	}
	const counts = `"summary": {"create":0,"update":0,"replace":0,"remove":0,"blocked":0,"kept":0,"unchanged":0}`
	for line, ok := range map[string]bool{
		`{"type": "summary", ` + counts + `}`:                                                                         true,
		`{"type": "summary", ` + counts + `, "interrupted": true}`:                                                    true,
		`{"type": "summary", ` + counts + `, "more": true}`:                                                           false,
		`{"type": "step", "id": "a", "backend": "b", "op": "prepare", "status": "failed", "elapsed_ms": 1}`:           false,
		`{"type": "step", "id": "a", "backend": "b", "op": "prepare", "status": "done", "elapsed_ms": 1}`:             true,
		`{"type": "step", "id": "a", "backend": "b", "op": "prepare", "status": "done", "elapsed_ms": 1, "x": 1}`:     false,
		`{"type": "step", "id": "a", "backend": "b", "op": "dance", "status": "done", "elapsed_ms": 1}`:               false,
		`{"type": "step", "id": "a", "backend": "b", "op": "prepare", "status": "done", "elapsed_ms": 1, "error":""}`: false,
	} {
		if err := validate(s, []byte(line)); (err == nil) != ok {
			t.Errorf("%s: %v", line, err)
		}
	}
}

var (
	headLine  = regexp.MustCompile(`^(-/\+|  [-+~^v!]) (\S+) +(\S+)(?: +(.*))?$`)
	driftLine = regexp.MustCompile(`^    (\S+) +(\S+) +(.*) \(([^()]*)\)$`)
	routeDiff = regexp.MustCompile(`^(\S+:\d+)(?:   (.*))?$`)
	countLine = regexp.MustCompile(`(\d+) (to create|to update|to replace|to remove|to stop|blocked|kept|unchanged)`)
)

// read parses what people read back into the form for programs, as far as the
// text says it: a plan that cannot be read back is ambiguous.
func read(t *testing.T, out string) (j plan.JSON, remedy []string) {
	t.Helper()
	inDrift := strings.HasPrefix(out, "not as bb made it\n")
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		switch m := headLine.FindStringSubmatch(line); {
		case line == "bb will" || strings.HasPrefix(line, "No changes."):
			inDrift = false
			if n := regexp.MustCompile(`(\d+) bottle`).FindStringSubmatch(line); n != nil {
				j.Summary.Unchanged, _ = strconv.Atoi(n[1])
			}
		case line == "" || line == "not as bb made it":
		case strings.HasPrefix(line, "Plan: "):
			into := map[string]*int{
				"to create": &j.Summary.Create, "to update": &j.Summary.Update, "to replace": &j.Summary.Replace,
				"to remove": &j.Summary.Remove, "to stop": &j.Summary.Stop, "blocked": &j.Summary.Blocked, "kept": &j.Summary.Kept, "unchanged": &j.Summary.Unchanged,
			}
			for _, c := range countLine.FindAllStringSubmatch(line, -1) {
				*into[c[2]], _ = strconv.Atoi(c[1])
			}
		case inDrift:
			d := driftLine.FindStringSubmatch(line)
			if d == nil {
				t.Fatalf("cannot read %q", line)
			}
			j.Drift = append(j.Drift, plan.JSONDrift{ID: d[1], Backend: d[2], Text: d[3]})
			remedy = append(remedy, d[4])
		case m != nil && !strings.HasPrefix(line, "      "):
			c := plan.JSONChange{ID: m[2], Backend: m[3]}
			for _, a := range []plan.Action{plan.Create, plan.Start, plan.Update, plan.Replace, plan.Remove, plan.Stop, plan.Blocked} {
				if strings.TrimSpace(m[1]) == a.Symbol() {
					c.Actions = a.Words()
				}
			}
			c.Kept = strings.Contains(m[4], "kept until")
			j.Changes = append(j.Changes, c)
		case strings.HasPrefix(line, "      ") && len(j.Changes) > 0:
			detailOf(t, &j.Changes[len(j.Changes)-1], line[6:])
		default:
			t.Fatalf("cannot read %q", line)
		}
	}
	return j, remedy
}

func detailOf(t *testing.T, c *plan.JSONChange, line string) {
	t.Helper()
	if slices.Equal(c.Actions, []string{"create"}) {
		return // what it will be, not what differs
	}
	if n, ok := strings.CutPrefix(line, "in use: "); ok {
		if _, err := fmt.Sscanf(n, "%d command", &c.Sessions); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		return
	}
	kind, ok := map[string]string{"+ ": plan.Added, "- ": plan.Removed, "~ ": plan.Changed}[line[:2]]
	if !ok {
		c.Note = line
		return
	}
	d := plan.FieldDiff{Kind: kind}
	rest := line[2:]
	if path, ok := strings.CutSuffix(rest, "  changed"); ok {
		d.Path, d.Opaque = path, true
	} else if r := routeDiff.FindStringSubmatch(rest); r != nil {
		d.Path = "egress.routes[" + r[1] + "]"
		switch kind {
		case plan.Added:
			d.New = r[2]
		case plan.Removed:
			d.Old = r[2]
		default:
			for _, f := range []string{"not inspected", strings.Fields(r[2])[0]} {
				if values, ok := strings.CutPrefix(r[2], f+" "); ok {
					d.Path += "." + f
					d.Old, d.New, _ = strings.Cut(values, " -> ")
					break
				}
			}
			d.Old, d.New = strings.TrimPrefix(d.Old, "(none)"), strings.TrimPrefix(d.New, "(none)")
		}
	} else if remote, ok := strings.CutPrefix(rest, "git gate "); ok {
		name, leads, _ := strings.Cut(remote, " -> ")
		if d.Path = "git.remotes." + name; kind == plan.Added {
			d.New = leads
		} else {
			d.Old = leads
		}
	} else if path, values, ok := strings.Cut(rest, "  "); ok {
		d.Path = path
		if _, err := fmt.Sscanf(values, "%q -> %q", &d.Old, &d.New); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	} else {
		d.Path = rest
	}
	c.Diff = append(c.Diff, d)
}

// TestTextAndJSONAgree: every instance, action, difference, note, drift and
// count of the text is in the JSON of the same plan, and the other way round.
func TestTextAndJSONAgree(t *testing.T) {
	for _, p := range append(pairs(), randomPairs(100)...) {
		raw, err := json.Marshal(p.plan.JSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		var want plan.JSON
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		out := text(t, p.plan, Style{})
		got, remedy := read(t, out)
		var remedies2 []string
		for _, d := range want.Drift {
			a := plan.Action(d.Actions[0])
			if len(d.Actions) == 2 {
				a = plan.Replace
			}
			remedies2 = append(remedies2, remedies[a])
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty(),
			cmpopts.IgnoreFields(plan.JSON{}, "FormatVersion", "Diagnostics"), // stderr's
			cmpopts.IgnoreFields(plan.JSONChange{}, "Reasons"),                // words, see TestEverythingHasWords
			cmpopts.IgnoreFields(plan.JSONDrift{}, "Kind", "Actions"),         // words, compared below
		); d != "" {
			t.Errorf("%s (-JSON +text):\n%s\n%s", p.name, d, out)
		}
		if d := cmp.Diff(remedies2, remedy); d != "" {
			t.Errorf("%s: %s", p.name, d)
		}
	}
}
