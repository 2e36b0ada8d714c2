// Package risky knows the files of a tree that run on a machine when a tool
// opens the tree, or is used in it: hooks, tasks, build and CI files (attacks
// F3 and F4). What an agent wrote is looked through with this list before
// somebody's editor, git or build finds it.
package risky

import (
	"path"
	"strings"
)

const (
	byGit    = "git runs it"
	gitObeys = "git obeys it: hooks, filters, file monitors, commands"
	byEditor = "an editor may run what it names when the directory is opened"
	byShell  = "a shell may run it when the directory is entered"
	byBuild  = "a build or an install runs what it says"
	byCI     = "CI runs what it says"
	byAgent  = "a coding agent on this machine obeys it"
)

// rules are matched with the last components of a path, in lower case; "**"
// at the end stands for everything below. The first that fits gives the reason.
var rules = []struct{ pattern, why string }{
	{".git/hooks/*.sample", ""},
	{".git/hooks/**", byGit},
	{".git/config", gitObeys},
	{".git/config.worktree", gitObeys},
	{".git/info/attributes", gitObeys},
	{".git/objects/info/alternates", "git reads objects from the place it names"},
	{".git", "it points git to a repository somewhere else"},
	{".githooks/**", byGit},
	{".husky/**", byGit},
	{".gitattributes", gitObeys},
	{".gitmodules", gitObeys},
	{".gitconfig", gitObeys},
	{".pre-commit-config.y*ml", byGit},
	{".pre-commit-hooks.y*ml", byGit},
	{"lefthook.y*ml", byGit},
	{".lefthook.y*ml", byGit},

	{".envrc", byShell},
	{".autoenv*", byShell},
	{".mise.toml", byShell},
	{"mise.toml", byShell},
	{".mise/**", byShell},
	{".bashrc", byShell},
	{".bash_profile", byShell},
	{".profile", byShell},
	{".zshrc", byShell},
	{".zshenv", byShell},

	{".vscode/tasks.json", byEditor},
	{".vscode/settings.json", byEditor},
	{".vscode/launch.json", byEditor},
	{".vscode/extensions.json", byEditor},
	{".vscode/mcp.json", byAgent},
	{"*.code-workspace", byEditor},
	{".idea/**", byEditor},
	{".run/*.run.xml", byEditor},
	{".zed/**", byEditor},
	{".devcontainer/**", byEditor},
	{".devcontainer.json", byEditor},
	{".dir-locals.el", byEditor},
	{".exrc", byEditor},
	{".nvimrc", byEditor},
	{".nvim.lua", byEditor},
	{".vimrc", byEditor},
	{".lvimrc", byEditor},
	{"*.sublime-project", byEditor},

	{".claude/settings*.json", byAgent},
	{".claude/hooks/**", byAgent},
	{".claude/commands/**", byAgent},
	{".claude/agents/**", byAgent},
	{".claude/skills/**", byAgent},
	{".claude/plugins/**", byAgent},
	{".mcp.json", byAgent},
	{".cursor/**", byAgent},
	{".cursorrules", byAgent},
	{".codex/**", byAgent},
	{".gemini/**", byAgent},
	{".windsurf/**", byAgent},
	{"opencode.json*", byAgent},
	{".opencode/**", byAgent},
	{"claude.md", byAgent},
	{"agents.md", byAgent},
	{".bot-bottle/**", "bb reads it: bb allow asks about its agents again"},

	{".github/workflows/**", byCI},
	{".github/actions/**", byCI},
	{".gitea/workflows/**", byCI},
	{".forgejo/workflows/**", byCI},
	{".gitlab-ci.y*ml", byCI},
	{".gitlab/ci/**", byCI},
	{".circleci/**", byCI},
	{".buildkite/**", byCI},
	{".woodpecker/**", byCI},
	{".woodpecker.y*ml", byCI},
	{".drone.y*ml", byCI},
	{".travis.y*ml", byCI},
	{".cirrus.y*ml", byCI},
	{"azure-pipelines*.y*ml", byCI},
	{"bitbucket-pipelines.y*ml", byCI},
	{"appveyor.y*ml", byCI},
	{"jenkinsfile*", byCI},

	{"makefile", byBuild},
	{"gnumakefile", byBuild},
	{"*.mk", byBuild},
	{"justfile", byBuild},
	{".justfile", byBuild},
	{"taskfile*.y*ml", byBuild},
	{"rakefile", byBuild},
	{"gemfile", byBuild},
	{"package.json", byBuild},
	{".npmrc", byBuild},
	{".yarnrc*", byBuild},
	{".yarn/**", byBuild},
	{".pnpmfile.*", byBuild},
	{"pnpm-workspace.y*ml", byBuild},
	{"binding.gyp", byBuild},
	{"setup.py", byBuild},
	{"setup.cfg", byBuild},
	{"pyproject.toml", byBuild},
	{"conftest.py", byBuild},
	{"noxfile.py", byBuild},
	{"tox.ini", byBuild},
	{"sitecustomize.py", byBuild},
	{"*.pth", byBuild},
	{"build.rs", byBuild},
	{".cargo/**", byBuild},
	{"build.gradle*", byBuild},
	{"settings.gradle*", byBuild},
	{"init.gradle*", byBuild},
	{"gradlew*", byBuild},
	{"gradle/wrapper/**", byBuild},
	{"mvnw*", byBuild},
	{".mvn/**", byBuild},
	{"pom.xml", byBuild},
	{"build.xml", byBuild},
	{"build.sbt", byBuild},
	{"cmakelists.txt", byBuild},
	{"*.cmake", byBuild},
	{"configure", byBuild},
	{"meson.build", byBuild},
	{".bazelrc", byBuild},
	{"workspace.bazel", byBuild},
	{"build.bazel", byBuild},
	{"flake.nix", byBuild},
	{"shell.nix", byBuild},
	{"dockerfile*", byBuild},
	{"compose.y*ml", byBuild},
	{"docker-compose*.y*ml", byBuild},
	{"vagrantfile", byBuild},
	{"directory.build.*", byBuild},
}

// gitHooks are the names that git looks for in a directory of hooks, wherever
// core.hooksPath or a bare repository puts one.
var gitHooks = map[string]bool{
	"applypatch-msg": true, "pre-applypatch": true, "post-applypatch": true, "pre-commit": true,
	"pre-merge-commit": true, "prepare-commit-msg": true, "commit-msg": true, "post-commit": true,
	"pre-rebase": true, "post-checkout": true, "post-merge": true, "pre-push": true, "pre-receive": true,
	"update": true, "post-receive": true, "post-update": true, "push-to-checkout": true, "pre-auto-gc": true,
	"post-rewrite": true, "sendemail-validate": true, "fsmonitor-watchman": true, "post-index-change": true,
	"proc-receive": true, "reference-transaction": true,
}

// others are directories full of other people's build files: these say
// nothing, until somebody builds in there.
var others = map[string]bool{"node_modules": true, "vendor": true, "site-packages": true, "third_party": true}

// Risky says why a file at a path in a tree may run something on the machine
// that the tree is on, or "". Case does not count: it does not on some disks.
func Risky(file string) string {
	parts := strings.Split(strings.ToLower(path.Clean(file)), "/")
	if why := inGit(parts); why != "" {
		return why
	}
	for _, r := range rules {
		if !matches(strings.Split(r.pattern, "/"), parts) {
			continue
		}
		if r.why == byBuild {
			for _, p := range parts {
				if others[p] {
					return ""
				}
			}
		}
		return r.why
	}
	return ""
}

// inGit knows what has no fixed place: the parts of submodules, work trees
// and bare repositories.
func inGit(parts []string) string {
	base := parts[len(parts)-1]
	if len(parts) > 1 && parts[len(parts)-2] == "hooks" && gitHooks[base] {
		return byGit
	}
	for i, p := range parts[:len(parts)-1] {
		if p == ".git" && i+2 < len(parts) && (parts[i+1] == "modules" || parts[i+1] == "worktrees") &&
			(base == "config" || base == "config.worktree" || base == "attributes") {
			return gitObeys
		}
		if p == ".git" {
			return ""
		}
	}
	if base == "head" {
		return "it makes a directory a repository: git obeys the config beside it"
	}
	return ""
}

func matches(pattern, parts []string) bool {
	n := len(pattern)
	if pattern[n-1] != "**" {
		return n <= len(parts) && same(pattern, parts[len(parts)-n:])
	}
	for i := 0; i+n <= len(parts); i++ {
		if same(pattern[:n-1], parts[i:i+n-1]) {
			return true
		}
	}
	return false
}

func same(pattern, parts []string) bool {
	for i, p := range pattern {
		if ok, err := path.Match(p, parts[i]); !ok || err != nil {
			return false
		}
	}
	return true
}
