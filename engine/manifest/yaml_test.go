package manifest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oddities of YAML, each with the one result that it has here: the resulting
// environment, or what is said about the file.
var oddities = []struct{ name, yaml, env, said string }{
	{"anchors and aliases", "env: {A: &a x, B: *a}", "A=x B=x", ""},
	{"an anchor on a map", "env: &e {A: x}\ngit_user: {name: *e}", "", "3:18: git_user.name must be a string; got a map"},
	{"an anchor redefined", "env: {A: &a x, B: &a y, C: *a}", "A=x B=y C=y", ""},
	{"an unknown anchor", "env: {A: *a}", "", "2:10: unknown anchor (put a value that begins with * in quotes)"},
	{"an anchor in itself", "env: &a {A: *a}", "", "2:1: an anchor contains itself (write the values out)"},
	{"a merge key", "env:\n  <<: {A: x}", "", "3:3: merge keys (<<) are not supported (write the keys out, or use extends)"},
	{"a merge key in quotes", "env:\n  \"<<\": x", "", "3:3: \"<<\" is not a valid name in env (letters, digits and underscores, not beginning with a digit)"},
	{"a duplicate key", "env:\n  A: x\n  A: x", "", "4:3: duplicate key \"A\"; the first is on line 3 (keep one of them)"},
	{"a duplicate key in other quotes", "env:\n  A: x\n  'A': y", "", "4:3: duplicate key \"A\"; the first is on line 3 (keep one of them)"},
	{"yes and no are text", "env: {A: yes, B: no, C: on, D: off, E: y}", "A=yes B=no C=on D=off E=y", ""},
	{"yes is no bool", "supervise: yes", "", "2:12: supervise must be true or false; got \"yes\""},
	{"True is a bool", "supervise: False", "", ""},
	{"a bool is no text", "env: {A: true}", "", "2:10: env.A must be a string; got true or false (put the value in quotes)"},
	{"dates are text", "env: {A: 2026-01-01, B: 2026-01-01T10:00:00Z}", "A=2026-01-01 B=2026-01-01T10:00:00Z", ""},
	{"times are text", "env: {A: 12:30:45}", "A=12:30:45", ""},
	{"an empty value", "env:\n  A:", "", "3:5: env.A must be a string; got nothing (put the value in quotes)"},
	{"a tilde is nothing", "env: {A: ~}", "", "2:10: env.A must be a string; got nothing (put the value in quotes)"},
	{"null is nothing", "env: {A: null, B: Null}", "", "2:10: env.A must be a string; got nothing (put the value in quotes)\n2:19: env.B must be a string; got nothing (put the value in quotes)"},
	{"null in quotes is text", "env: {A: 'null', B: ''}", "A=null B=", ""},
	{"a leading zero", "resources: {pids: 0100}", "", ""},
	{"octal, hexadecimal, binary", "resources: {pids: 0o100}", "", ""},
	{"not a number", "resources: {cpus: .nan}", "", "2:19: resources.cpus must be between 0.01 and 1024; got NaN"},
	{"infinity", "resources: {cpus: .inf}", "", "2:19: resources.cpus must be between 0.01 and 1024; got +Inf"},
	{"an underscore in a number", "resources: {pids: 1_000}", "", ""},
	{"tabs for indentation", "env:\n\tA: x", "", "3:2: a value begins with a character that YAML reserves (put it in quotes, and indent with blanks, not tabs)"},
	{"a tab behind a colon", "env:\n  A:\tx", "A=x", ""},
	{"CRLF", "env:\r\n  A: x\r\n  B: y\r", "A=x B=y", ""},
	{"a lone CR", "env: {A: x} # no\rsupervise: true", "", "2:17: a line break that editors do not show (end lines with LF or CRLF)"},
	{"two documents", "env: {A: x}\n--- # and\nenv: {B: y}", "", "3:1: a manifest is one YAML document (keep one document)"},
	{"text behind the end of a document", "env: {A: x}\n...\nenv: {B: y}", "", "4:1: a manifest is one YAML document (keep one document)"},
	{"a directive", "%YAML 1.1\n---\nenv: {A: x}", "A=x", ""},
	{"a directive of another version", "%YAML 1.2\n---\nenv: {A: x}", "", "1:1: a %YAML line for another version (remove it)"},
	{"a comment without a blank", "env: {A: x#y, B: x #y\n}", "A=x#y B=x", ""},
	{"a folded text", "env:\n  A: >-\n    one\n    two", "A=one two", ""},
	{"a text over lines", "env:\n  A: one\n    two", "A=one two", ""},
	{"a comma at the end", "env: {A: x,}", "A=x", ""},
	{"a key with a question mark", "env:\n  ? A\n  : x", "A=x", ""},
	{"a key that is a list", "env:\n  ? [A]\n  : x", "", "3:3: a key must be a plain word (put a value that begins with { or [ in quotes)"},
	{"a tag for text", "env: {A: !!str 1}", "A=1", ""},
	{"a tag of one's own", "env: {A: !x 1}", "", "2:1: unknown YAML tag (put a value that begins with ! in quotes)"},
	{"an escaped character", `env: {A: "\x41\u0042", B: '\x41'}`, "A=AB B=\\x41", ""},
	{"a blank that is none", "env: {A:\u00a0x}", "", "2:7: \"A:\\u00a0x\" is not a valid name in env (letters, digits and underscores, not beginning with a digit)"},
	{"a second key on the line", "env: {A: x} supervise: true", "", "2:1: a colon where YAML expects none (put a value that contains a colon and a blank in quotes)"},
}

func TestYAMLOddities(t *testing.T) {
	for _, c := range oddities {
		t.Run(c.name, func(t *testing.T) {
			fleet, problems := Load(tree(t, map[string]string{"home/bottles/dev.yaml": "#\n" + c.yaml + "\n"}))
			var said []string
			for _, d := range problems {
				said = append(said, strings.TrimPrefix(d.Error(), "home/bottles/dev.yaml:"))
			}
			if diff := cmp.Diff(c.said, strings.Join(said, "\n")); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
			if dev := fleet.Bottles["dev"]; dev != nil {
				if diff := cmp.Diff(c.env, envValues(dev)); diff != "" {
					t.Errorf("env (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// What is large or deep is refused in short time, in every format.
func TestLargeFiles(t *testing.T) {
	bomb := "k: &a0 [x, x]\n"
	for i := range 40 {
		bomb += fmt.Sprintf("k%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	for name, c := range map[string]struct{ file, text, want string }{
		"10 MB of frontmatter": {"dev.md", "---\n" + strings.Repeat("# comment\n", 1<<20) + "---\n", "larger than 1 MiB"},
		"200 kB of keys":       {"dev.md", "---\n" + strings.Repeat("k: v\n", 40000) + "---\n", "1:1: more than 128 KiB of keys"},
		"200 kB of YAML":       {"dev.yaml", strings.Repeat("# comment\n", 20000), "1:1: more than 128 KiB of keys"},
		"200 kB of CUE":        {"dev.cue", strings.Repeat("// comment\n", 20000), "1:1: more than 128 KiB of keys"},
		"200 kB of JSON":       {"dev.json", "{\"a\": \"" + strings.Repeat("x", 200000) + "\"}", "1:1: more than 128 KiB of keys"},
		"many duplicates":      {"dev.yaml", strings.Repeat("k: v\n", 20000), ""},
		"many unknown keys":    {"dev.yaml", "egress: {" + strings.Repeat("k: ,", 20000) + "}", ""},
		"deep lists":           {"dev.yaml", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), ""},
		"deep blocks":          {"dev.yaml", deepBlocks(400), "34:34: nested too deeply"},
		"deep JSON":            {"dev.json", strings.Repeat("[", 50000), ""},
		"deep JSON that ends":  {"dev.json", `{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}", ""},
		"alias bomb":           {"dev.yaml", bomb, "1:1: aliases expand to too much (write the values out)"},
		"one long word":        {"dev.yaml", "env: {A: " + strings.Repeat("x", 100000) + "}\nsupervise: 1", "2:12: supervise must be true or false; got 1"},
		"one long key":         {"dev.yaml", strings.Repeat("x", 1000) + ": y", `1:1: unknown key "` + strings.Repeat("x", 60) + `..." (known: extends, env, agent_provider, git_user, git, egress, supervise, backend, resources, workspace, repositories)`},
	} {
		t.Run(name, func(t *testing.T) {
			o := tree(t, map[string]string{"home/bottles/" + c.file: c.text})
			start := time.Now()
			_, problems := Load(o)
			if took := time.Since(start); took > slow/2 {
				t.Errorf("took %v", took)
			}
			if len(problems) == 0 {
				t.Fatal("accepted")
			}
			got := strings.TrimLeft(strings.TrimPrefix(problems[0].Error(), "home/bottles/"+c.file), ": ")
			if c.want != "" && got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			t.Log(len(problems), got)
		})
	}
}

func deepBlocks(n int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString(strings.Repeat(" ", i) + "k:\n")
	}
	return out.String()
}
