package view

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

func id(agent string) spec.ID {
	return spec.ID{Scope: "0123456789abcdef", Agent: agent, Replica: "1"}
}

// everyAction is a plan with one change of each kind.
func everyAction() *plan.Plan {
	return &plan.Plan{Unchanged: 3, Changes: []plan.Change{
		{ID: id("blocked"), Backend: "docker", Action: plan.Blocked, Reasons: []plan.Reason{plan.ForeignOwner}, Note: "container bb-x is not bb's"},
		{ID: id("made"), Backend: "docker", Action: plan.Create, Reasons: []plan.Reason{plan.NotFound}, Spec: &spec.Spec{
			Source: spec.Source{AgentFile: "/home/u/.bot-bottle/agents/made.md", Lineage: []string{"dev", "base"}},
			Fixed: spec.Fixed{Env: []spec.Env{
				{Name: "HIDDEN", Kind: spec.EnvLiteral}, {Name: "HTTP_PROXY", Kind: spec.EnvBB}, {Name: "PORT", Kind: spec.EnvLiteral, Value: "1"},
			}},
			HiddenEnv: []string{"HIDDEN"},
			Live: spec.Live{
				GitUser: spec.GitUser{Name: "A B", NameFrom: "agent", Email: "a@example.com", EmailFrom: "bottle"},
				Skills:  []spec.Skill{{Name: "init-prd"}},
				Tokens:  map[string]string{"EGRESS_TOKEN_0": "TOKEN"},
				Routes: []egress.Route{
					{Host: "api.anthropic.com", Port: 443, TLSPassthrough: true, Source: "provider claude", Auth: &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}},
					{Host: "own.example.com", Port: 443, TLSPassthrough: true, Source: "bottle dev.md:3"},
				},
			},
		}},
		{ID: id("moved"), Backend: "docker", Action: plan.Replace, Reasons: []plan.Reason{plan.SpecChanged, plan.ImageChanged}, Diff: []plan.FieldDiff{
			{Kind: plan.Changed, Path: "env.PORT", Opaque: true}, {Kind: plan.Changed, Path: "image", Old: "bb-claude:1f2e", New: "bb-claude:77aa"},
		}},
		{ID: id("routed"), Backend: "docker", Action: plan.Update, Reasons: []plan.Reason{plan.EgressChanged}, Diff: []plan.FieldDiff{
			{Kind: plan.Added, Path: "egress.routes[api.example.org:443]", New: "auth Bearer $EXAMPLE_TOKEN"},
			{Kind: plan.Changed, Path: "egress.routes[git.example.com:443].paths", Old: "/a", New: "/a, /b"},
		}},
		{ID: id("stopped"), Backend: "docker", Action: plan.Start, Reasons: []plan.Reason{plan.Stopped}},
		{ID: id("unwanted"), Backend: "docker", Action: plan.Remove, Reasons: []plan.Reason{plan.NotDeclared}, Kept: true},
	}}
}

const goldenPlan = `bb will

  ! blocked        docker    blocked
      container bb-x is not bb's
  + made           docker    not running yet
      bottle        dev <- base      agent ~/.bot-bottle/agents/made.md
      env           PORT      skills init-prd
      git identity  name "A B" (agent), email a@example.com (bottle)
      egress        api.anthropic.com:443  auth Bearer $TOKEN  tls_passthrough  (provider claude)
      egress        own.example.com:443  tls_passthrough  agent's own account  (bottle dev.md:3)
-/+ moved          docker    env.PORT, image
      ~ env.PORT  changed
      ~ image  "bb-claude:1f2e" -> "bb-claude:77aa"
  ~ routed         docker    egress.routes
      + api.example.org:443   auth Bearer $EXAMPLE_TOKEN
      ~ git.example.com:443   paths /a -> /a, /b
  ^ stopped        docker    stopped
  - unwanted       docker    no manifest declares it: kept until bb apply --prune or bb destroy

Plan: 1 to create, 2 to update, 1 to replace, 0 to remove, 1 blocked, 1 kept; 3 unchanged.
`

func TestPlanGolden(t *testing.T) {
	var b bytes.Buffer
	if err := Plan(&b, everyAction(), Style{HomeDir: "/home/u"}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(goldenPlan, b.String()); d != "" {
		t.Error(d)
	}
}

// A manifest or a label must not drive the terminal that a plan is read on.
func TestPlanEscapes(t *testing.T) {
	p := everyAction()
	p.Changes[0].Note = "a\x1b[2J"
	p.Changes[1].Spec.Live.GitUser.Email = "x\u009b31m\u202e@y"
	p.Changes[1].Spec.Live.Routes[0].Matches = []egress.Match{{Paths: []string{"/\u009b2J"}}}
	p.Changes[2].Diff[1].Old = "\x1b]0;title\x07"
	var b bytes.Buffer
	if err := Plan(&b, p, Style{}); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && unsafeRune(r) }); i >= 0 {
		t.Errorf("%q", b.String()[i:])
	}
}

func TestNoChanges(t *testing.T) {
	for n, want := range map[int]string{
		0: "No changes. No bottle is declared to run.\n",
		1: "No changes. 1 bottle matches its manifest.\n",
		4: "No changes. 4 bottles match their manifests.\n",
	} {
		var b bytes.Buffer
		if err := Plan(&b, &plan.Plan{Unchanged: n}, Style{Color: true}); err != nil || b.String() != want {
			t.Errorf("%q %v", b.String(), err)
		}
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	clock := time.Unix(0, 0)
	p := newProgress(NewScreen(&b, nil), func() time.Time { return clock }, time.NewTicker(time.Hour))
	defer p.Close()
	n := plan.Node{ID: 1, Op: plan.OpStartAgent, Instance: id("dev")}
	p.On(apply.Event{Node: n, Status: apply.Started})
	p.still()
	clock = clock.Add(20 * time.Second)
	p.still()
	p.On(apply.Event{Node: n, Status: apply.Done, Elapsed: 21 * time.Second})
	p.still()
	p.On(apply.Event{Node: n, Status: apply.Failed, Err: errors.New("x")})
	const want = `dev: still starting the bottle... [20s]
dev: starting the bottle took 21s
dev: started
dev: starting the bottle failed
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünïcode\t": "plain ünïcode\t",
		"a\x1b[2Jb":       `a\u001b[2Jb`,
		"a\nb\rc":         `a\u000ab\u000dc`,
		"a\u202eb\u200bc": `a\u202eb\u200bc`,
		"a\u0085b":        `a\u0085b`,
		"a\u2028b":        `a\u2028b`,
		"a\U000e0041b":    `a\U000e0041b`,
		"bad\xff":         `bad\ufffd`,
		"a\u009bb\x7f":    `a\u009bb\u007f`,
		"a\u3164\u2800b":  `a\u3164\u2800b`, // they look like nothing
		"a\ufe0f\u115fb":  `a\ufe0f\u115fb`,
		"a\ue000b":        `a\ue000b`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// What is an agent's ends where bb says, and begins no line.
func TestWithinALine(t *testing.T) {
	if got, want := OneLine("  a \u00a0\u2003\n\tb\u2028c  "), "a b c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := Quote(`a" [new host] \u202e`+"\u202e"), `"a\" [new host] \u202e\u202e"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := Cut("one two \u4e2d\u6587", 10), "one two ~"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Cut("one", 3); got != "one" {
		t.Errorf("%q", got)
	}
	if diff := cmp.Diff([]string{"ab  c", "d \u4e2d", "\u6587"}, Fold("ab  cd \u4e2d\u6587", 5)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1536: "1.5 KiB", 200 << 20: "200.0 MiB", 3 << 40: "3.0 TiB", 9 << 50: "9216.0 TiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// A day later a time of day alone would look like today's.
func TestWhen(t *testing.T) {
	now := time.Date(2026, 3, 4, 23, 50, 0, 0, time.Local)
	for d, want := range map[time.Duration]string{
		0: "23:50", -23 * time.Hour: "00:50", -24 * time.Hour: "2026-03-03 23:50", 20 * time.Minute: "2026-03-05 00:10", 365 * 24 * time.Hour: "2027-03-04 23:50",
	} {
		if got := When(now.Add(d).UTC(), now); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	x := plan.Approved{ID: spec.ID{Agent: "dev", Replica: "2"}, Text: "a.example.com:443", By: "ann", At: now, Until: now.Add(time.Hour)}
	if got, want := (Style{}).Approved(x, now), "dev_2          a.example.com:443  (approved 23:50, expires 2026-03-05 00:50, by ann)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
