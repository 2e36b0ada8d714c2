package view

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/diag"
)

func TestSnippet(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		col        int
		message    string
		want       string
	}{
		{"key", "egres:", 1, `unknown key "egres"`, "    egres:\n    ^\n"},
		{"value in the message", "backend: dokcer", 10, `backend must be docker; got "dokcer"`, "    backend: dokcer\n             ^\n"},
		{"value beside the mistake", "  TOKEN: sk-ant-secret", 3, "env.TOKEN is set by bb", "    " + "  TOKEN: .............\n      ^\n"},
		{"quoted", `  A: "my secret" # c`, 3, "bad", "      A: ........... ...\n      ^\n"},
		{"flow map", "env: {A: secret-one, B: secret-two}", 22, "bad", "    env: {A: .........., B: ..........}\n                         ^\n"},
		{"list item", "  - secret", 5, "bad", "      - ......\n        ^\n"},
		{"flow list", "[one, two]", 2, "got one", "    [one, ...]\n     ^\n"},
		{"no column", "a: b", 0, "bad b", "    a: b\n"},
		{"empty", "", 1, "bad", ""},
		{"terminal escapes", "a: b\x1b[2J", 1, "bad b\x1b[2J", "    a: b\\u001b[2J\n    ^\n"},
	} {
		d := diag.Diagnostic{File: "x.md", Line: 3, Col: tt.col, Message: tt.message}
		got := Snippet(d, tt.line)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}
