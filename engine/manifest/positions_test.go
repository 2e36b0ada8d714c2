package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Line ends, byte order marks and text before a value must not move a
// diagnostic: a wrong place costs more time than a vague message.
func TestPositions(t *testing.T) {
	const lf = "---\n# comment\n\nenv:\n  A: x  # ok\n  B: 1\nägress: 1\negress:\n  routes: [{host: a.example.com}, {hst: x}]\n---\n\negres: 1\n"
	want := []string{
		"home/bottles/dev.md:6:6: env.B must be a string; got a number (put the value in quotes)",
		`home/bottles/dev.md:7:1: unknown key "ägress" (did you mean "egress"?)`,
		"home/bottles/dev.md:9:35: egress.routes[1].host is required",
		`home/bottles/dev.md:9:36: unknown key "hst" in egress.routes[1] (did you mean "host"?)`,
	}
	crlf := strings.ReplaceAll(lf, "\n", "\r\n")
	for name, text := range map[string]string{
		"LF": lf, "CRLF": crlf, "BOM": "\ufeff" + lf, "BOM and CRLF": "\ufeff" + crlf,
		"blanks after the fences": strings.ReplaceAll(lf, "---\n", "--- \t\n"),
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := Load(tree(t, map[string]string{"home/bottles/dev.md": text}))
			if diff := cmp.Diff(want, texts(problems)); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOddLineBreaks(t *testing.T) {
	for _, odd := range []string{"\r", "\u0085", "\u2028", "\u2029"} {
		_, problems := Load(tree(t, map[string]string{"home/bottles/dev.md": md("env:\n  A: x # fine" + odd + "supervise: false")}))
		want := []string{"home/bottles/dev.md:3:14: a line break that editors do not show (end lines with LF or CRLF)"}
		if diff := cmp.Diff(want, texts(problems)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", odd, diff)
		}
	}
}

func TestSplitFrontmatter(t *testing.T) {
	for _, c := range []struct{ name, in, matter, body, mistake string }{
		{"plain", "---\na: 1\n---\nbody\n", "   \na: 1\n", "body\n", ""},
		{"empty", "---\n---\n", "   \n", "", ""},
		{"closing fence at the end of the file", "---\na: 1\n---", "   \na: 1\n", "", ""},
		{"CRLF", "---\r\na: 1\r\n---\r\nbody", "   \r\na: 1\r\n", "body", ""},
		{"BOM", "\ufeff---\na: 1\n---\n", "      \na: 1\n", "", ""},
		{"fences in the body belong to it", "---\n---\n---\nx\n---\n", "   \n", "---\nx\n---\n", ""},
		{"four dashes are no fence", "----\n---\n", "", "", "no frontmatter"},
		{"indented dashes are no fence", "---\n ---\n", "", "", "the frontmatter does not end"},
		{"nothing", "", "", "", "no frontmatter"},
		{"text first", "\n---\n---\n", "", "", "no frontmatter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			matter, body, m := splitFrontmatter([]byte(c.in))
			message := ""
			if m != nil {
				message = m.message
			}
			if diff := cmp.Diff([]string{c.matter, c.body, c.mistake}, []string{string(matter), string(body), message}); diff != "" {
				t.Errorf("split (-want +got):\n%s", diff)
			}
		})
	}
}

func TestYAMLThatIsFine(t *testing.T) {
	for name, text := range map[string]string{
		"anchors":                         "env: &e {A: x}\ngit_user: {name: &n Ann, email: *n}",
		"a block":                         "env:\n  A: |\n    one\n    two\n",
		"words that look like bools":      "env: {A: yes, B: off, C: 2026-01-01}",
		"a closing dots line":             "env: {A: x}\n...",
		"two less-than signs in a text":   "env: {A: 'a << b', B: \"<<\"} # <<: x",
		"quoted numbers":                  "env: {A: '1', B: \"0x1\"}",
		"numbers in other bases":          "resources: {pids: 0x40}",
		"no keys but a comment":           "# nothing",
		"interpolation is text":           `env: {A: '\(x)'}`,
		"keys with other meanings in CUE": "env: {_x: a, __x: b}",
	} {
		t.Run(name, func(t *testing.T) {
			loaded(t, tree(t, map[string]string{"home/bottles/dev.md": md(text)}))
		})
	}
	t.Run("no keys at all", func(t *testing.T) {
		loaded(t, tree(t, map[string]string{"home/bottles/dev.md": "---\n---\n", "home/bottles/b.yaml": "", "home/bottles/c.json": "{}"}))
	})
	t.Run("a start marker in YAML", func(t *testing.T) {
		loaded(t, tree(t, map[string]string{"home/bottles/dev.yaml": "# x\n---\nenv: {A: x}\n"}))
	})
	t.Run("values", func(t *testing.T) {
		dev := loaded(t, tree(t, map[string]string{"home/bottles/dev.md": md("env: {A: yes, B: '\\(x)', _c: \"a\\nb\"}\nresources: {pids: 0x40}")})).Bottles["dev"]
		if diff := cmp.Diff(`A=yes B=\(x) _c=a`+"\nb", envValues(dev)); diff != "" {
			t.Errorf("env (-want +got):\n%s", diff)
		}
		if dev.Resources.PIDs != 64 {
			t.Errorf("pids %d", dev.Resources.PIDs)
		}
	})
}
