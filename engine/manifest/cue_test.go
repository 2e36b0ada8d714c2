package manifest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The same bottle in all formats means the same.
func TestFormatsMeanTheSame(t *testing.T) {
	const plain = `package bottles // any name will do

extends: "base"
"env": PORT: "8080", env2: 1
`
	o := tree(t, map[string]string{
		"home/bottles/base.cue": `{
	// One pair of braces around it all.
	env: {A: "a", B: #"\(x)"#}
}
`,
		"home/bottles/plain.cue": strings.ReplaceAll(plain, ", env2: 1", "") + `
git_user: {name: "Ann", email: """
	a@example.com
	"""}
resources: {cpus: 1.5, pids: 0x40, memory: "1GiB"}
supervise: false
egress: routes: [
	{host: "a.example.com", port: 8_443, path_allowlist: ["/v1"]},
	{host: "b.example.com"},
]
`,
		"home/bottles/computed.cue": `
let hosts = {"a.example.com": 8443, "b.example.com": 443}
#Limits: {cpus: 1.5, pids: 60 + 4, memory: "\(_gib)GiB"}
_gib: 1
_sure: true
_who: "a"
_part: {name: "example", whole: "\(_part.name).com"}
_site: _part.whole
extends: "base"
env: PORT: "80" + "80"
git_user: {name: "Ann", email: "\(_who)@\(_site)"}
resources: #Limits & {cpus: _}
if _sure {supervise: !_sure}
egress: routes: [for h, p in hosts {
	host: h
	port: p
	if p != 443 {path_allowlist: ["/v1"]}
}]
`,
		"home/bottles/json.json": `{"extends": "base", "env": {"PORT": "8080"}, "git_user": {"name": "Ann", "email": "a@example.com"},
			"resources": {"cpus": 1.5, "pids": 64, "memory": "1GiB"}, "supervise": false,
			"egress": {"routes": [{"host": "a.example.com", "port": 8443, "path_allowlist": ["/v1"]}, {"host": "b.example.com"}]}}`,
		"home/bottles/yaml.yml": `
extends: base
env: {PORT: "8080"}
git_user: {name: Ann, email: a@example.com}
resources: {cpus: 1.5, pids: 64, memory: 1GiB}
supervise: false
egress: {routes: [{host: a.example.com, port: 8443, path_allowlist: [/v1]}, {host: b.example.com}]}
`,
	})
	fleet := loaded(t, o)
	if got := envValues(fleet.Bottles["plain"]); got != `A=a B=\(x) PORT=8080` {
		t.Errorf("env %v", got)
	}
	bare := func(name string) Bottle {
		b := *fleet.Bottles[name]
		b.Name, b.File, b.From, b.Lineage, b.Provider.From, b.Egress.From = "", "", nil, nil, Pos{}, Pos{}
		for i := range b.Env {
			b.Env[i].From = Pos{}
		}
		for i := range b.Egress.Routes {
			b.Egress.Routes[i].Source = ""
		}
		return b
	}
	for _, name := range []string{"computed", "json", "yaml"} {
		if diff := cmp.Diff(bare("plain"), bare(name)); diff != "" {
			t.Errorf("%s (-plain +%s):\n%s", name, name, diff)
		}
	}
}

// Editors of other systems leave marks that change no place.
func TestMarksOfEditors(t *testing.T) {
	for name, text := range map[string]string{
		"dev.cue":  "// x\r\nenv: {\r\n\tA: \"x\"\r\n\tB: 1\r\n}\r\n",
		"com.cue":  "let x = 1\r\nenv: {\r\n\tA: \"x\"\r\n\tB: x\r\n}\r\n",
		"dev.json": "{\r\n\"env\": {\r\n\t\"A\": \"x\",\r\n\t\"B\": 1\r\n}}\r\n",
	} {
		for _, mark := range []string{"", string(byteOrderMark)} {
			_, problems := Load(tree(t, map[string]string{"home/bottles/" + name: mark + text}))
			col := "5"
			if strings.HasSuffix(name, ".json") {
				col = "7"
			}
			want := []string{"home/bottles/" + name + ":4:" + col + ": env.B must be a string; got a number (put the value in quotes)"}
			if diff := cmp.Diff(want, texts(problems)); diff != "" {
				t.Errorf("%q%s (-want +got):\n%s", mark, name, diff)
			}
		}
	}
}

func TestComputedPlaces(t *testing.T) {
	fleet := loaded(t, tree(t, map[string]string{"home/bottles/dev.cue": `
_port: 8443
egress: {
	routes: [for h in ["a.example.com", "b.example.com"] {
		host: h
		port: _port
	}]
}
env: "A\("B")": "x"
`}))
	dev := fleet.Bottles["dev"]
	for path, line := range map[string]int{"egress": 3, "egress.routes": 4, "egress.routes[1]": 4, "egress.routes[1].port": 6, "env.AB": 9} {
		if got := dev.From[path].Line; got != line {
			t.Errorf("%s is from line %d, want %d", path, got, line)
		}
	}
	if dev.Egress.Routes[0].Source != "bottle dev.cue:5" {
		t.Errorf("source %q", dev.Egress.Routes[0].Source)
	}
}

func TestSecretsInOtherFormats(t *testing.T) {
	const secret = "hunter2"
	for name, texts := range map[string][]string{
		"dev.cue": {
			"env: A: hunter2", `env: A: "x" & "hunter2"`, `env: A: "hunter2`, "env: A: 'hunter2'", `agent_provider: auth_token: "sk-hunter2"`,
			`env: A: "\("hunter2")" + 1`, `supervise: "hunter2" < 1`, `resources: cpus: "hunter2" / 2`, "env: A: x.hunter2", `env: ["hunter2"]`,
			"let hunter2 = 1\nenv: A: hunter2", `env: A: "hunter2"["x"]`, "import \"hunter2\"", `env: A: hunter2("x")`, `env: "A=hunter2": "x"`,
			`env: A: ["hunter2"][3]`, `env: A: {x: "hunter2"}.y`, `env: A: "hunter2" =~ "("`,
		},
		"dev.json": {`{"env": {"A": hunter2}}`, `{"env": {"A": ["hunter2"]}}`, `{"env": {"A": "hunter2}}`, `{"env": "hunter2"}`},
		"dev.yaml": {"env: {A: &hunter2 1}", "env:\n  A: hunter2\n B: x", "env: {A: hunter2: x}"},
	} {
		for _, text := range texts {
			_, problems := Load(tree(t, map[string]string{"home/bottles/" + name: text}))
			if !problems.HasErrors() {
				t.Errorf("accepted: %s", text)
			}
			for _, d := range problems {
				if strings.Contains(d.Message+d.Hint, secret) {
					t.Errorf("%s\nis shown in: %s", text, d.Error())
				}
			}
		}
	}
}

// A file that does not end stops the command, even one that is about other
// agents: what it started goes on until the process ends.
func TestRunawayEvaluation(t *testing.T) {
	before := evalLimit
	evalLimit = 0
	defer func() { evalLimit = before }()
	list := "[" + strings.Repeat("1,", 120) + "]"
	o := tree(t, map[string]string{
		"home/bottles/dev.md": md(""), "home/agents/ann.md": md("bottle: dev"),
		"home/bottles/slow.cue": "let l = " + list + "\n_n: [for a in l for b in l {1}]\nenv: A: \"\\(_n[0])\"\n",
	})
	o.Want = []string{"ann"}
	_, problems := Load(o)
	want := []string{"home/bottles/slow.cue:1:1: computing this file takes longer than 0s (write the values out)"}
	if diff := cmp.Diff(want, texts(problems)); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
}

func TestBombs(t *testing.T) {
	// double makes each helper twice as large as the one before.
	double := func(first, next string) string {
		out := "_x0: " + first + "\n"
		for i := range 40 {
			out += fmt.Sprintf("_x%d: %s\n", i+1, strings.ReplaceAll(next, "OLD", fmt.Sprintf("_x%d", i)))
		}
		return out + "env: A: _x40\n"
	}
	for name, text := range map[string]string{
		"maps":            double(`{y: "x"}`, "{l: OLD, r: OLD}"),
		"lists":           double(`["x"]`, "[OLD, OLD]"),
		"rebinding":       "_r: {y: _, l: y, r: y}\n" + double(`{}`, "_r & {y: OLD}"),
		"text":            double(`"0123456789abcdef"`, `"\(OLD)\(OLD)"`),
		"long text":       double(`"0123456789abcdef"`, `OLD + OLD`),
		"itself":          "_x: {a: _x}\nenv: _x\n",
		"long chain":      strings.Repeat("env:", 30000) + "1",
		"many signs":      "resources: cpus: " + strings.Repeat("-", 9000) + "1",
		"long sum":        "resources: cpus: 1" + strings.Repeat("+1", 50000),
		"many brackets":   strings.Repeat("[", 100000),
		"comprehensions":  "let l = [" + strings.Repeat("1,", 60) + "]\nenv: {for a in l for b in l for c in l for d in l {A: \"x\"}}\n",
		"templates":       "_t: {y: _, t: \"\\(y)\\(y)\"}\n" + double(`_t & {y: "x"}`, "_t & {y: OLD.t}"),
		"dynamic keys":    double(`"0123456789"`, `{("\(OLD)\(OLD)"): 1}`),
		"large exponents": "resources: {cpus: 1e999999999999, pids: 1e999999999 - 1e-999999999}",
		"long number":     "resources: cpus: " + strings.Repeat("9", 100000),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, problems := Load(tree(t, map[string]string{"home/bottles/dev.cue": text}))
			if !problems.HasErrors() {
				t.Error("accepted")
			}
			if took := time.Since(start); took > slow {
				t.Errorf("took %v", took)
			}
			t.Log(problems[0].Error())
		})
	}
}
