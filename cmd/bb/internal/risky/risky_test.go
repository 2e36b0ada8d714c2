package risky

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRisky(t *testing.T) {
	for file, want := range map[string]string{
		".git/hooks/pre-commit":                 byGit,
		".git/hooks/pre-commit.sample":          "",
		"a/b/.git/hooks/whatever":               byGit,
		".GIT/Hooks/post-checkout":              byGit,
		".git/config":                           gitObeys,
		".git/config.worktree":                  gitObeys,
		".git/info/attributes":                  gitObeys,
		".git/modules/lib/config":               gitObeys,
		".git/modules/lib/hooks/post-checkout":  byGit,
		".git/worktrees/w/config.worktree":      gitObeys,
		".git/HEAD":                             "",
		".git/index":                            "",
		".git/objects/ab/cd":                    "",
		".git/objects/info/alternates":          "git reads objects from the place it names",
		".git":                                  "it points git to a repository somewhere else",
		"sub/.git":                              "it points git to a repository somewhere else",
		"lib.git/HEAD":                          "it makes a directory a repository: git obeys the config beside it",
		"lib.git/hooks/post-checkout":           byGit,
		".gitattributes":                        gitObeys,
		"src/.gitattributes":                    gitObeys,
		".gitmodules":                           gitObeys,
		".gitignore":                            "",
		".husky/pre-push":                       byGit,
		".husky/_/husky.sh":                     byGit,
		".pre-commit-config.yaml":               byGit,
		".envrc":                                byShell,
		".env":                                  "",
		".vscode/tasks.json":                    byEditor,
		".vscode/settings.json":                 byEditor,
		".vscode/launch.json":                   byEditor,
		".vscode/notes.txt":                     "",
		"x.code-workspace":                      byEditor,
		".idea/workspace.xml":                   byEditor,
		".idea/runConfigurations/x.xml":         byEditor,
		".devcontainer/devcontainer.json":       byEditor,
		"Makefile":                              byBuild,
		"sub/GNUmakefile":                       byBuild,
		"rules.mk":                              byBuild,
		"package.json":                          byBuild,
		"node_modules/x/package.json":           "",
		"node_modules/x/.git/hooks/pre-commit":  byGit,
		"node_modules/x/.vscode/tasks.json":     byEditor,
		"vendor/github.com/x/Makefile":          "",
		"setup.py":                              byBuild,
		"pyproject.toml":                        byBuild,
		"build.gradle.kts":                      byBuild,
		"Dockerfile":                            byBuild,
		"docker-compose.override.yml":           byBuild,
		".github/workflows/ci.yml":              byCI,
		".github/ISSUE_TEMPLATE/bug.md":         "",
		".gitlab-ci.yml":                        byCI,
		".circleci/config.yml":                  byCI,
		"Jenkinsfile":                           byCI,
		".claude/settings.json":                 byAgent,
		".claude/settings.local.json":           byAgent,
		".claude/commands/x.md":                 byAgent,
		".mcp.json":                             byAgent,
		"CLAUDE.md":                             byAgent,
		".cursor/mcp.json":                      byAgent,
		".bot-bottle/agents/x.md":               "bb reads it: bb allow asks about its agents again",
		"main.go":                               "",
		"docs/makefile.md":                      "",
		"hooks/use-thing.ts":                    "",
		"src/hooks/update":                      byGit, // could be: core.hooksPath decides
		"":                                      "",
		"./sub/../.envrc":                       byShell,
		"a\n.envrc":                             "",
		strings.Repeat("d/", 2000) + ".envrc":   byShell,
		strings.Repeat("d/", 2000) + "envrc":    "",
		"gradle/wrapper/gradle-wrapper.jar":     byBuild,
		".yarn/releases/yarn.cjs":               byBuild,
		"x.pth":                                 byBuild,
		"pkg/[odd/name":                         "",
		".git/hooks/[odd":                       byGit,
		"tools/.pre-commit-hooks.yaml":          byGit,
		".git/info/exclude":                     "",
		".git/logs/HEAD":                        "",
		"deep/.github/workflows/nested/ci.yml":  byCI,
		"CMakeLists.txt":                        byBuild,
		".vscode":                               "",
		".git/hooks":                            "",
		"bare/config":                           "", // HEAD beside it is listed
		"attributes":                            "",
		".git/modules/lib/info/attributes":      gitObeys,
		".git/modules/lib/HEAD":                 "",
		"worktree/.git":                         "it points git to a repository somewhere else",
		".cargo/config.toml":                    byBuild,
		".npmrc":                                byBuild,
		"opencode.json":                         byAgent,
		"a/b/c/.zed/tasks.json":                 byEditor,
		".nvim.lua":                             byEditor,
		"third_party/x/CMakeLists.txt":          "",
		"third_party/x/.github/workflows/a.yml": byCI,
	} {
		if got := Risky(file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// TestRulesAreAlive holds every rule to matching the path that it spells.
func TestRulesAreAlive(t *testing.T) {
	for _, r := range rules {
		spelt := strings.NewReplacer("**", "deep/x", "y*ml", "yml", "*", "").Replace(r.pattern)
		if got := Risky(spelt); got != r.why {
			t.Errorf("%s: %s gives %q, want %q", r.pattern, spelt, got, r.why)
		}
	}
}

func TestSince(t *testing.T) {
	dir := t.TempDir()
	put := func(name string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("Makefile")
	put(".vscode/tasks.json")
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	time.Sleep(30 * time.Millisecond)
	put("sub/deep/.git/hooks/pre-commit")
	put("main.go")
	put("Makefile")
	old := time.Unix(1, 0)
	if err := os.Chtimes(filepath.Join(dir, "Makefile"), old, old); err != nil { // an agent would
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/profile", filepath.Join(dir, ".envrc")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..", filepath.Join(dir, "sub/up")); err != nil {
		t.Fatal(err)
	}
	l, err := Since(dir, began)
	if err != nil {
		t.Fatal(err)
	}
	want := []File{{".envrc", byShell}, {"Makefile", byBuild}, {"sub/deep/.git/hooks/pre-commit", byGit}}
	if diff := cmp.Diff(want, l.First(9)); diff != "" || l.Count != 3 {
		t.Errorf("%d (-want +got):\n%s", l.Count, diff)
	}
	if _, err := Since(filepath.Join(dir, "none"), began); err == nil {
		t.Error("a directory that is not there has no changes")
	}
}

func TestListIsBounded(t *testing.T) {
	l := &List{}
	for i := range 3 * maxKept {
		l.Add(fmt.Sprintf("d%d/.envrc", i))
	}
	if len(l.files) != maxKept || l.Count != 3*maxKept || len(l.First(5)) != 5 {
		t.Errorf("%d kept, %d counted", len(l.files), l.Count)
	}
}
