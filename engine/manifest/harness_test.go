package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/engine/diag"
)

// tree writes files below a fresh directory and returns options for it: home
// is "home", and "repo" is the repository where a file lies in it.
func tree(t testing.TB, files map[string]string) Options {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Home: filepath.Join(dir, "home"), cwd: dir}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "repo/") {
			o.Repo = filepath.Join(dir, "repo")
		}
	}
	return o
}

func md(frontmatter string) string {
	return "---\n" + strings.Trim(frontmatter, "\n") + "\n---\n"
}

// loaded loads what must be without a mistake.
func loaded(t testing.TB, o Options) *Fleet {
	t.Helper()
	fleet, problems := Load(o)
	if len(problems) > 0 {
		t.Fatalf("unexpected diagnostics:\n%v", problems)
	}
	return fleet
}

func texts(l diag.List) []string {
	out := []string{}
	for _, d := range l {
		out = append(out, d.Error())
	}
	return out
}
