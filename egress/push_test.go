package egress

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCheckPush(t *testing.T) {
	for _, c := range []struct {
		name string
		push Push
		want string // a part of the error, "" is none
	}{
		{"nothing", Push{}, ""},
		{"default protect", Push{Protect: DefaultProtect}, ""},
		{"pattern", Push{Allow: []string{"refs/heads/agent/*", "refs/heads/main", "refs/for/*", "refs/heads/a*b"}}, ""},
		{"tags by default", Push{Tags: true}, ""},
		{"short name", Push{Allow: []string{"main"}}, "begins with refs/"},
		{"two stars", Push{Allow: []string{"refs/heads/*/*"}}, "more than one *"},
		{"too wide", Push{Allow: []string{"refs/*"}}, "too wide"},
		{"too wide by a letter", Push{Allow: []string{"refs/h*"}}, "too wide"},
		{"replace", Push{Allow: []string{"refs/replace/*"}}, "refs/replace/"},
		{"dots", Push{Allow: []string{"refs/heads/.."}}, "holds what"},
		{"dots inside", Push{Allow: []string{"refs/heads/a..b"}}, "holds what"},
		{"control", Push{Allow: []string{"refs/heads/a\x07"}}, "cannot be seen"},
		{"line feed", Push{Allow: []string{"refs/heads/a\nb"}}, "cannot be seen"},
		{"only a directory", Push{Allow: []string{"refs/heads/"}}, "empty component"},
		{"nothing below refs", Push{Allow: []string{"refs/x"}}, "no full name"},
		{"question mark", Push{Allow: []string{"refs/heads/?"}}, "holds what"},
		{"tag without tags", Push{Allow: []string{"refs/tags/*"}}, "tags: true"},
		{"tags without a pattern", Push{Tags: true, Allow: []string{"refs/heads/x"}}, `add "refs/tags/*"`},
		{"tags with a pattern", Push{Tags: true, Allow: []string{"refs/heads/x", "refs/tags/v*"}}, ""},
		{"path with a slash", Push{Protect: []string{"/ci"}}, "relative to the repository"},
		{"path with two", Push{Protect: []string{"a//b"}}, "relative to the repository"},
		{"path upwards", Push{Protect: []string{"a/../b"}}, "dot component"},
		{"empty path", Push{Protect: []string{""}}, "is empty"},
		{"class", Push{Protect: []string{"a[bc]"}}, "only * is"},
		{"stars beside", Push{Protect: []string{"a**/b"}}, "** beside"},
		{"path with a control", Push{Protect: []string{"a\x00"}}, "control character"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckPush(c.push)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("CheckPush(%+v) = %v, want %q", c.push, err, c.want)
			}
		})
	}
}

const (
	idA = "1111111111111111111111111111111111111111"
	idB = "2222222222222222222222222222222222222222"
)

func TestJudge(t *testing.T) {
	open := Push{Force: true, Delete: true, Tags: true}
	agent := Push{Allow: []string{"refs/heads/agent/*"}}
	for _, c := range []struct {
		name   string
		push   Push
		update RefUpdate
		facts  RefFacts
		want   string
	}{
		{"new branch", Push{}, RefUpdate{"refs/heads/x", "", idB}, RefFacts{}, ""},
		{"fast-forward", Push{}, RefUpdate{"refs/heads/x", idA, idB}, RefFacts{FastForward: true}, ""},
		{"the same", Push{}, RefUpdate{"refs/heads/x", idA, idA}, RefFacts{}, ""},
		{"off", Push{Off: true}, RefUpdate{"refs/heads/x", "", idB}, RefFacts{}, "pushes to this remote are off"},
		{"default", Push{}, RefUpdate{"refs/heads/main", idA, idB}, RefFacts{FastForward: true}, "refs/heads/main is the default branch of the upstream: push a branch of your own, or list it under push.allow of the remote"},
		{"default by case", Push{}, RefUpdate{"refs/heads/MAIN", "", idB}, RefFacts{}, "is the default branch"},
		{"default listed", Push{Allow: []string{"refs/heads/main"}}, RefUpdate{"refs/heads/main", idA, idB}, RefFacts{FastForward: true}, ""},
		{"default covered", Push{Allow: []string{"refs/heads/*"}}, RefUpdate{"refs/heads/main", idA, idB}, RefFacts{FastForward: true}, ""},
		{"default deleted", Push{Allow: []string{"refs/heads/*"}, Delete: true}, RefUpdate{"refs/heads/main", idA, ""}, RefFacts{}, "never deleted"},
		{"no default known", Push{}, RefUpdate{"refs/heads/x", "", idB}, RefFacts{Default: "none"}, "names no default branch"},
		{"no default known, listed", agent, RefUpdate{"refs/heads/agent/x", "", idB}, RefFacts{Default: "none"}, ""},
		{"within", agent, RefUpdate{"refs/heads/agent/a/b", "", idB}, RefFacts{}, ""},
		{"outside", agent, RefUpdate{"refs/heads/x", "", idB}, RefFacts{}, "only refs/heads/agent/* may be pushed"},
		{"the star is not empty", agent, RefUpdate{"refs/heads/agent/", "", idB}, RefFacts{}, "empty component"},
		{"another case", agent, RefUpdate{"refs/heads/Agent/x", "", idB}, RefFacts{}, "may be pushed"},
		{"no fast-forward", Push{}, RefUpdate{"refs/heads/x", idA, idB}, RefFacts{}, "no fast-forward"},
		{"force", Push{Force: true}, RefUpdate{"refs/heads/x", idA, idB}, RefFacts{}, ""},
		{"delete", Push{}, RefUpdate{"refs/heads/x", idA, ""}, RefFacts{}, "push.delete"},
		{"delete allowed", Push{Delete: true}, RefUpdate{"refs/heads/x", idA, ""}, RefFacts{}, ""},
		{"delete nothing", open, RefUpdate{"refs/heads/x", "", ""}, RefFacts{}, "no such ref"},
		{"tag", Push{}, RefUpdate{"refs/tags/v1", "", idB}, RefFacts{}, "push.tags"},
		{"tag in the pattern only", Push{Allow: []string{"refs/tags/*"}}, RefUpdate{"refs/tags/v1", "", idB}, RefFacts{}, "push.tags"},
		{"tag allowed", Push{Tags: true}, RefUpdate{"refs/tags/v1", "", idB}, RefFacts{}, ""},
		{"tag not covered", Push{Tags: true, Allow: []string{"refs/heads/x"}}, RefUpdate{"refs/tags/v1", "", idB}, RefFacts{}, "may be pushed"},
		{"tag moved", Push{Tags: true}, RefUpdate{"refs/tags/v1", idA, idB}, RefFacts{FastForward: true}, "is a force"},
		{"tag moved by force", open, RefUpdate{"refs/tags/v1", idA, idB}, RefFacts{}, ""},
		{"alike", open, RefUpdate{"refs/heads/x", "", idB}, RefFacts{Alike: "refs/heads/X"}, "cannot be beside refs/heads/X"},
		{"HEAD", open, RefUpdate{"HEAD", idA, idB}, RefFacts{}, "no full name"},
		{"an id", open, RefUpdate{"refs/heads/" + idA, "", idB}, RefFacts{}, "the id of an object"},
		{"options in the name", Push{Allow: []string{"refs/for/*"}}, RefUpdate{"refs/for/main%submit", "", idB}, RefFacts{}, "takes options"},
		{"a percent sign", Push{}, RefUpdate{"refs/heads/90%", "", idB}, RefFacts{}, ""},
		{"within another", open, RefUpdate{"refs/heads/refs/heads/main", "", idB}, RefFacts{}, "within another"},
		{"branch HEAD", open, RefUpdate{"refs/heads/HEAD", "", idB}, RefFacts{}, "calls HEAD"},
		{"notes", open, RefUpdate{"refs/notes/commits", "", idB}, RefFacts{}, "only branches"},
		{"review", open, RefUpdate{"refs/for/main", "", idB}, RefFacts{}, "only branches"},
		{"pull", open, RefUpdate{"refs/pull/1/head", "", idB}, RefFacts{}, "only branches"},
		{"remotes", open, RefUpdate{"refs/remotes/origin/x", "", idB}, RefFacts{}, "only branches"},
		{"replace", open, RefUpdate{"refs/replace/" + idA, "", idB}, RefFacts{}, "never pushed"},
		{"replace by pattern", Push{Allow: []string{"refs/replace/*"}}, RefUpdate{"refs/replace/" + idA, "", idB}, RefFacts{}, "never pushed"},
		{"upper case", open, RefUpdate{"REFS/heads/x", "", idB}, RefFacts{}, "no full name"},
		{"upper case kind", open, RefUpdate{"refs/Heads/main", "", idB}, RefFacts{}, "only branches"},
		{"upwards", open, RefUpdate{"refs/heads/../../config", "", idB}, RefFacts{}, "may not hold"},
		{"dash", open, RefUpdate{"refs/heads/--mirror", "", idB}, RefFacts{}, "dash"},
		{"space", open, RefUpdate{"refs/heads/a b", "", idB}, RefFacts{}, "may not hold"},
		{"colon", open, RefUpdate{"refs/heads/a:refs/heads/main", "", idB}, RefFacts{}, "may not hold"},
		{"star", open, RefUpdate{"refs/heads/*", "", idB}, RefFacts{}, "may not hold"},
		{"nul", open, RefUpdate{"refs/heads/a\x00b", "", idB}, RefFacts{}, "cannot be seen"},
		{"terminal", open, RefUpdate{"refs/heads/a\x1b[2J", "", idB}, RefFacts{}, "may not hold"},
		{"bidi", open, RefUpdate{"refs/heads/a\u202eb", "", idB}, RefFacts{}, "cannot be seen"},
		{"lock", open, RefUpdate{"refs/heads/a.LOCK", "", idB}, RefFacts{}, ".lock"},
		{"bytes", open, RefUpdate{"refs/heads/\xff", "", idB}, RefFacts{}, "UTF-8"},
		{"long", open, RefUpdate{"refs/heads/" + strings.Repeat("a/", 600) + "a", "", idB}, RefFacts{}, "longer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			switch c.facts.Default {
			case "":
				c.facts.Default = "refs/heads/main"
			case "none":
				c.facts.Default = ""
			}
			err := c.push.Judge(c.update, c.facts)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Judge = %v, want %q", err, c.want)
			}
			if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("the reason holds what a terminal obeys: %q", err)
			}
		})
	}
}

func TestProtects(t *testing.T) {
	p := Push{Protect: append([]string{"a/*/c", "x*y*z", "**/deep/er"}, DefaultProtect...)}
	for path, want := range map[string]bool{
		".github/workflows/ci.yml": true, ".github/workflows": true, ".github/workflows/a/b": true, ".GitHub/Workflows/x": true,
		".github/dependabot.md": false, "docs/.github/workflows/ci.yml": false, ".github/workflowsx/a": false,
		".gitlab-ci.yml": true, "sub/.gitlab-ci.yml": true, "ci/build.gitlab-ci.yml": true, "gitlab-ci.yml": false,
		"Jenkinsfile": true, "a/b/JENKINSFILE": true, "Jenkinsfile.prod": true, "Jenkinsfiles": false,
		"azure-pipelines.yml": true, "ci/azure-pipelines-2.yaml": true, ".drone.yml": true, ".drone.star": true, "src/.drone.yml": false,
		"a/b/c": true, "a/b/c/d": true, "a/c": false, "a/b/b/c": false, "x1y2z": true, "xyz": true, "xzy": false,
		"deep/er": true, "1/2/deep/er/x": true, "deep": false, "main.go": false, ".git": false, "": false,
	} {
		if got := p.Protects(path, false) != ""; got != want {
			t.Errorf("Protects(%q) = %v, want %v", path, got, want)
		}
	}
	for path, want := range map[string]bool{
		".github": true, ".GITHUB": true, ".forgejo": true, "a": true, "a/b": true, ".circleci": true, "src": false, "b": false, ".github/x": false, "deep": false,
	} {
		if got := p.Protects(path, true) != ""; got != want {
			t.Errorf("Protects(%q) of a link = %v, want %v", path, got, want)
		}
	}
	if got := (Push{}).Protects(".github/workflows/x", true); got != "" {
		t.Errorf("no pattern protects: %q", got)
	}
}

func FuzzJudge(f *testing.F) {
	git, err := exec.LookPath("git")
	for _, ref := range []string{"refs/heads/x", "HEAD", "refs/heads/-x", "refs/heads/a..b", "refs/heads/a@{1", "refs/heads/\x7f", "refs/heads/a/.b"} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		reason := Push{Force: true, Delete: true, Tags: true}.Judge(RefUpdate{Ref: ref, New: idB}, RefFacts{Default: "refs/heads/main"})
		if reason != nil {
			if !utf8.ValidString(reason.Error()) || strings.ContainsFunc(reason.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("a reason that is no clean line: %q", reason)
			}
			return
		}
		if !strings.HasPrefix(ref, "refs/heads/") && !strings.HasPrefix(ref, "refs/tags/") {
			t.Fatalf("%q was let through", ref)
		}
		if err == nil {
			if out, err := exec.Command(git, "check-ref-format", ref).CombinedOutput(); err != nil {
				t.Fatalf("git refuses what was let through: %q: %v %s", ref, err, out)
			}
		}
	})
}

func FuzzMatchPath(f *testing.F) {
	f.Add("a/*/c", "a/b/c", false)
	f.Add("**/x*y", "a/b/xzy", true)
	f.Fuzz(func(t *testing.T, pattern, path string, link bool) {
		if checkPathPattern(pattern) != nil {
			return
		}
		p := Push{Protect: []string{pattern}}
		if p.Protects(path, false) != "" && p.Protects(path+"/below", link) == "" {
			t.Fatalf("%q covers %q but nothing below it", pattern, path)
		}
	})
}
