package hack_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAttackDocs holds docs/attacks.md to what is there: every row of sections
// A to E has its line, and every test that it names exists.
func TestAttackDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-E][0-9]+) \| (.*) \|$`).FindAllStringSubmatch(string(text), -1) {
		if rows[m[1]] != "" {
			t.Errorf("%s is there twice", m[1])
		}
		rows[m[1]] = m[2]
	}
	for section, n := range map[string]int{"A": 7, "B": 9, "C": 7, "D": 9, "E": 10} {
		for i := 1; i <= n; i++ {
			if id := fmt.Sprint(section, i); rows[id] == "" {
				t.Errorf("%s is missing", id)
			}
		}
	}
	if len(rows) != 42 {
		t.Errorf("%d rows, and 42 are known", len(rows))
	}
	tests := testsOf(t)
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]*)`").FindAllStringSubmatch(string(text), -1) {
		if !tests[m[1]] {
			t.Errorf("%s does not exist", m[1])
		}
	}
}

// testsOf are the names of all tests and fuzz targets.
func testsOf(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, room := range []string{"cmd", "engine", "backends", "egress", "cue", "e2e", "hack"} {
		err := filepath.WalkDir(filepath.Join("..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
					names[f.Name.Name] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}
