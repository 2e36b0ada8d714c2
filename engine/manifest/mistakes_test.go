package manifest

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mistakesFiles hold one case after another, and at least so many:
//
//	### name
//	-- home/bottles/dev.md --    (this header may be left out)
//	frontmatter
//	>>>
//	diagnostics
//
// BB_UPDATE=1 writes the diagnostics anew.
var mistakesFiles = map[string]int{"testdata/mistakes.txt": 60, "testdata/providers.txt": 30}

type mistakeCase struct {
	name, input string
	want        []string
}

func TestMistakes(t *testing.T) {
	for file, least := range mistakesFiles {
		testMistakes(t, file, least)
	}
}

func testMistakes(t *testing.T, file string, least int) {
	cases := readMistakes(t, file)
	if len(cases) < least {
		t.Fatalf("%d cases, want at least %d", len(cases), least)
	}
	update := os.Getenv("BB_UPDATE") != ""
	for i := range cases {
		c := &cases[i]
		t.Run(c.name, func(t *testing.T) {
			_, problems := Load(tree(t, c.files()))
			got := texts(problems)
			if len(got) == 0 {
				t.Error("accepted")
			}
			if update {
				c.want = got
				return
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
		})
	}
	if update {
		writeMistakes(t, file, cases)
	}
}

func (c *mistakeCase) files() map[string]string {
	files := map[string]string{}
	name := "home/bottles/dev.md"
	var text strings.Builder
	flush := func() {
		content := text.String()
		if text.Reset(); content == "" {
			return
		}
		if strings.HasSuffix(name, ".md") && !strings.HasPrefix(content, "---") {
			content = md(content)
		}
		files[name] = content
	}
	for line := range strings.Lines(c.input) {
		if strings.HasPrefix(line, "-- ") && strings.HasSuffix(line, " --\n") {
			flush()
			name = strings.TrimSuffix(strings.TrimPrefix(line, "-- "), " --\n")
			continue
		}
		text.WriteString(line)
	}
	flush()
	return files
}

func readMistakes(t *testing.T, file string) []mistakeCase {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []mistakeCase
	for _, block := range strings.Split(string(raw), "### ")[1:] {
		name, rest, _ := strings.Cut(block, "\n")
		input, want, ok := strings.Cut(rest, ">>>\n")
		if !ok && os.Getenv("BB_UPDATE") == "" {
			t.Fatalf("case %q has no >>>", name)
		}
		c := mistakeCase{name: name, input: strings.TrimRight(input, "\n") + "\n", want: []string{}}
		for line := range strings.Lines(want) {
			if line = strings.TrimSuffix(line, "\n"); line != "" {
				c.want = append(c.want, line)
			}
		}
		cases = append(cases, c)
	}
	return cases
}

func writeMistakes(t *testing.T, file string, cases []mistakeCase) {
	t.Helper()
	var out strings.Builder
	for _, c := range cases {
		out.WriteString("### " + c.name + "\n" + c.input + ">>>\n" + strings.Join(c.want, "\n") + "\n\n")
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
