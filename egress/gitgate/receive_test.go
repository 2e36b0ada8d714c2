package gitgate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

func TestPushPasses(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "-b", "work")
	b.write("a.txt", "a\n")
	id := b.commit("second")
	began := time.Now()
	b.accepted("work")
	t.Logf("a small push took %s", time.Since(began))
	if !strings.Contains(b.refs(), "refs/heads/work "+id) {
		t.Fatalf("it is not on the upstream: %s", b.refs())
	}
	b.write("a.txt", "b\n")
	b.commit("third")
	b.accepted("work", "work:refs/heads/two/parts")
	got := b.logged()
	if len(got) != 3 || got[0].Ref != "refs/heads/work" || got[0].New != id || got[0].Objects != 3 || got[0].Old != "" {
		t.Errorf("logged %+v", got)
	}
}

func TestUpstreamSpeaks(t *testing.T) {
	b := newBench(t, egress.Push{})
	hook := filepath.Join(b.upstream, "hooks/pre-receive")
	say := func(script string) {
		if err := os.WriteFile(hook, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	say("printf 'Create a pull request at \\033[31mhttps://x\\n'")
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	if out := b.accepted("work"); !strings.Contains(out, "remote: upstream: Create a pull request at") || strings.Contains(out, "\x1b[31m") {
		t.Errorf("the upstream's words did not arrive clean: %q", out)
	}
	say("echo no such luck; exit 1")
	b.commit("third")
	b.refused("remote: upstream: no such luck", "work")
	if got := b.logged(); got[len(got)-1].Verdict != Failed {
		t.Errorf("logged %+v", got[len(got)-1])
	}
}

func TestPushWithSecretIsRefused(t *testing.T) {
	b := newBench(t, egress.Push{Tags: true})
	b.git("checkout", "-q", "-b", "work")
	b.write("src/app.py", "x\n"+secret+"\n")
	b.commit("holds it")
	b.write("src/app.py", "x\n")
	b.commit("removed")
	out := b.refused(`remote: bb: push refused: refs/heads/work: src/app.py:2: rule test-secret found "SECR****"`, "work")
	if !strings.Contains(out, "git rebase -i") || strings.Contains(out, secret) {
		t.Errorf("the text: %s", out)
	}
	if e := b.logged()[0]; e.Verdict != Refused || e.Path != "src/app.py" || e.Line != 2 || e.Rule != "test-secret" {
		t.Errorf("logged %+v", e)
	}
	b.git("checkout", "-q", "-B", "work", "origin/main")
	b.git("tag", "-a", "-m", "note "+secret, "v1")
	b.refused("tag ", "v1")
	b.git("tag", "-f", "-a", "-m", "outer", "v2", "v1")
	b.refused("tag ", "v2") // the tag in a tag
	b.commit("in a message " + secret)
	b.refused("commit ", "work")
	b.git("checkout", "-q", "-B", "work", "origin/main")
	b.refused("the name of a ref", "work:refs/heads/"+secret)
	b.commit("one more")
	b.refused("default branch", "work:refs/heads/ok", "+work:refs/heads/main", "work:refs/heads/x/"+secret)
	// Only in a merge, and only in a side that brings it.
	b.git("checkout", "-q", "--orphan", "side")
	b.write("s", secret)
	b.commit("side")
	b.git("checkout", "-q", "work")
	b.git("merge", "-q", "--allow-unrelated-histories", "-s", "ours", "-m", "merge", "side")
	b.refused("test-secret", "work")
	b.write("t", strings.Repeat("a", 200)+secret)
	b.git("checkout", "-q", "-B", "many", "origin/main")
	for i := range 25 {
		b.write("f"+strings.Repeat("i", i), secret+strings.Repeat("j", i))
	}
	b.commit("many")
	out = b.refused("and 6 more", "many")
	if n := strings.Count(out, "rule test-secret found"); n != 20 {
		t.Errorf("%d findings were shown", n)
	}
}

// TestKnownSecretIsNone: what the upstream has is no leak.
func TestKnownSecretIsNone(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.write("old", secret)
	b.commit("an old fixture")
	b.write("old", "changed")
	b.commit("changed")
	b.write("old", "changed again")
	b.commit("changed again")
	b.git("push", "-q", b.upstream, "main")
	b.git("checkout", "-q", "-b", "work")
	b.accepted("work")
	b.write("old", secret)
	b.commit("as it was")
	b.accepted("work")
	b.write("old", secret+"!")
	b.commit("not as it was")
	b.refused("test-secret", "work")
}

func TestRefsAreRefused(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.accepted("work")
	b.git("tag", "v1")
	b.git("update-ref", "refs/notes/commits", "HEAD")
	b.git("update-ref", "refs/replace/"+b.git("rev-parse", "main"), "HEAD")
	b.commit("third")
	id := b.git("rev-parse", "HEAD")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"default branch of the upstream", []string{"work:main"}},
		{"default branch of the upstream", []string{"--", "work:main"}},
		{"differ", []string{"work:refs/heads/WORK"}},
		{"default branch of the upstream", []string{"work:refs/heads/Main"}},
		{"refused", []string{"--mirror"}},
		{"refused", []string{"--mirror", "--force"}},
		{"refused", []string{"refs/*:refs/*"}},
		{"refused", []string{"refs/heads/*:refs/remotes/x/*"}},
		{"push.tags", []string{"--tags"}},
		{"push.tags", []string{"v1"}},
		{"push.delete", []string{":work"}},
		{"push.delete", []string{"--delete", "work"}},
		{"push.delete", []string{"--prune", "refs/heads/nothing*:refs/heads/*"}},
		{"no fast-forward", []string{"--force", "main:work"}},
		{"no fast-forward", []string{"+main:work"}},
		{"only branches", []string{"refs/notes/commits"}},
		{"never pushed", []string{"refs/replace/*"}},
		{"only branches", []string{"work:refs/for/main"}},
		{"only branches", []string{"work:refs/pull/1/head"}},
		{"only branches", []string{"work:refs/Heads/x"}},
		{"cannot be beside refs/heads/work", []string{"work:refs/heads/work/below"}},
		{"calls HEAD", []string{"work:refs/heads/HEAD"}},
		{"dash", []string{"work:refs/heads/--force"}},
		{"branch must be a commit", []string{id + "^{tree}:refs/heads/tree"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			b.t = t
			if c.want == "differ" {
				c.want = "cannot be beside refs/heads/work"
			}
			b.refused(c.want, c.args...)
		})
	}
	b.t = t
	b.refused("another ref of this push was refused", "work:fine", "work:main")
}

func TestWhatIsAllowed(t *testing.T) {
	b := newBench(t, egress.Push{Force: true, Delete: true, Tags: true})
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.git("tag", "-a", "-m", "one", "v1")
	b.accepted("work", "v1")
	b.git("checkout", "-q", "-B", "work", "origin/main")
	b.commit("other")
	b.git("tag", "-f", "-a", "-m", "two", "v1")
	b.accepted("-f", "work", "v1")
	b.accepted(":work", ":v1")
	if strings.Contains(b.refs(), "work") {
		t.Errorf("it is still there: %s", b.refs())
	}
	b.refused("default branch", ":main")
}

func TestProtectedPaths(t *testing.T) {
	b := newBench(t, egress.Push{Tags: true})
	for name, change := range map[string]func(){
		"change": func() { b.write(".github/workflows/ci.yml", "on: evil\n") },
		"new":    func() { b.write(".github/workflows/x.yml", "on: evil\n") },
		"delete": func() { b.git("rm", "-q", ".github/workflows/ci.yml") },
		"case":   func() { b.write(".GitHub/Workflows/x.yml", "on: evil\n") },
		"other":  func() { b.write(".gitlab-ci.yml", "x\n") },
		"below":  func() { b.write("a/Jenkinsfile", "x\n") },
		"mode":   func() { b.git("update-index", "--chmod=+x", ".github/workflows/ci.yml") },
		"link": func() {
			b.git("rm", "-rqf", ".github")
			b.write("e/workflows/x.yml", "x")
			_ = os.Symlink("e", filepath.Join(b.clone, ".github"))
		},
		"new link": func() { _ = os.Symlink("e", filepath.Join(b.clone, ".circleci")) },
		"submodule": func() {
			b.git("update-index", "--add", "--cacheinfo", "160000,"+b.git("rev-parse", "HEAD")+",.forgejo")
		},
		"hidden submodule": func() {
			b.write(".gitmodules", "[submodule \"x\"]\npath = .forgejo\nurl = https://example.com/x\nignore = all\n")
			b.git("update-index", "--add", "--cacheinfo", "160000,"+b.git("rev-parse", "HEAD")+",.forgejo")
			b.git("add", ".gitmodules")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			b.git("checkout", "-q", "-f", "-B", "work", "origin/main")
			b.git("clean", "-qfdx")
			change()
			if !strings.Contains(name, "mode") && !strings.Contains(name, "submodule") {
				b.git("add", "-A")
			}
			b.git("commit", "-q", "-m", name)
			b.git("reset", "-q", "--hard")
			b.refused("is protected by", "work")
			b.git("tag", "-f", "v1")
			b.refused("is protected by", "v1")
			b.git("reset", "-q", "--hard", "HEAD~1")
			b.commit("without it")
			b.accepted("work:back-" + strings.ReplaceAll(name, " ", "-"))
		})
	}
	b.t = t
	// Changed by the upstream's people: on main it may come along, and on a branch
	// of theirs it stays there.
	b.git("checkout", "-q", "-f", "-B", "old", "origin/main")
	b.git("clean", "-qfdx")
	b.write(".github/workflows/ci.yml", "on: release\n")
	b.commit("theirs")
	b.git("push", "-q", b.upstream, "old:main", "old~0:refs/heads/theirs")
	b.write(".github/workflows/ci.yml", "on: experiment\n")
	b.commit("an experiment of theirs")
	b.git("push", "-q", b.upstream, "old:theirs")
	b.refused("is protected by", "old:mine")
	b.commit("on top")
	b.accepted("old:theirs") // unchanged since OLD
	b.git("checkout", "-q", "-B", "work", "origin/main")
	b.commit("from before")
	b.accepted("work:older")
	b.git("fetch", "-q", "origin")
	b.git("merge", "-q", "-m", "m", "origin/main")
	b.accepted("work:older")
}
