package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// in replaces DIR in a manifest by the test's directory.
func in(t *testing.T, o Options, name, text string) {
	t.Helper()
	path := filepath.Join(o.cwd, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", o.cwd)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBottleForSomeRepositories(t *testing.T) {
	for _, c := range []struct {
		name, repositories string
		want               string
	}{
		{"this one", "[DIR/other, DIR/repo]", ""},
		{"by a link", "[DIR/link]", ""},
		{"with a slash at the end", "[DIR/repo/]", ""},
		{"below the user's home", "[~/repo]", ""},
		{"another", "\n  - DIR/other", `repo/.bot-bottle/agents/ann.md:2:9: bottle "dev" is not for this repository, see repositories in home/bottles/dev.md:2 (add DIR/repo there if you trust it)`},
		{"a directory around it", "[DIR]", `repo/.bot-bottle/agents/ann.md:2:9: bottle "dev" is not for this repository, see repositories in home/bottles/dev.md:2 (add DIR/repo there if you trust it)`},
		{"none", "[]", `repo/.bot-bottle/agents/ann.md:2:9: bottle "dev" is not for this repository, see repositories in home/bottles/dev.md:2 (add DIR/repo there if you trust it)`},
		{"relative", "[repo]", "home/bottles/dev.md:2:16: repositories[0] must be an absolute path or begin with ~/; got \"repo\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := tree(t, map[string]string{
				"repo/.bot-bottle/agents/ann.md": md("bottle: dev"), "home/agents/bob.md": md("bottle: dev"),
			})
			t.Setenv("HOME", o.cwd)
			if err := os.Symlink("repo", filepath.Join(o.cwd, "link")); err != nil {
				t.Fatal(err)
			}
			in(t, o, "home/bottles/dev.md", md("repositories: "+c.repositories))
			fleet, problems := Load(o)
			if got := strings.ReplaceAll(problems.Error(), o.cwd, "DIR"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if bottle := fleet.Bottles["dev"]; bottle != nil && fleet.Agent("bob") == nil {
				t.Error("an agent at home was refused too")
			}
			if (fleet.Agent("ann") != nil) != (c.want == "") {
				t.Errorf("ann is %v", fleet.Agent("ann"))
			}
		})
	}
}

// A child that declares its own list replaces its parent's; without one it
// keeps the restriction.
func TestRestrictionIsInherited(t *testing.T) {
	o := tree(t, map[string]string{
		"repo/.bot-bottle/agents/ann.md": md("bottle: dev"),
		"home/bottles/base.md":           md("# base\nrepositories: []"),
		"home/bottles/dev.md":            md("extends: base"),
	})
	_, problems := Load(o)
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "home/bottles/base.md:3") {
		t.Errorf("got %v", problems)
	}
	in(t, o, "home/bottles/dev.md", md("extends: base\nrepositories: [DIR/repo]"))
	if got := loaded(t, o).Bottles["dev"].Repositories; !cmp.Equal(got, []string{o.Repo}) {
		t.Errorf("repositories are %v", got)
	}
}

// A repository's file that is a link could make any file of the host a prompt.
func TestRepositoryLinksOut(t *testing.T) {
	o := tree(t, map[string]string{
		"home/bottles/dev.md":            md(""),
		"elsewhere/secret.md":            md("bottle: dev") + "secret",
		"repo/.bot-bottle/agents/ok.md":  md("bottle: dev"),
		"repo/docs/role.md":              md("bottle: dev") + "inside",
		"repo/.bot-bottle/agents/x.yaml": "bottle: dev\n",
	})
	agents := filepath.Join(o.Repo, ".bot-bottle/agents")
	for from, to := range map[string]string{"ann.md": "../../../elsewhere/secret.md", "bob.md": "../../docs/role.md", "cat.md": filepath.Join(o.Home, "bottles/dev.md"), "dan.md": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(agents, from)); err != nil {
			t.Fatal(err)
		}
	}
	fleet, problems := Load(o)
	want := []string{
		"repo/.bot-bottle/agents/ann.md: cannot read: is a link out of the repository (put the file itself into the repository)",
		"repo/.bot-bottle/agents/cat.md: cannot read: is a link out of the repository (put the file itself into the repository)",
		"repo/.bot-bottle/agents/dan.md: cannot read: no such file or directory (it is a link to nowhere)",
	}
	if diff := cmp.Diff(want, texts(problems)); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	if bob := fleet.Agent("bob"); bob == nil || bob.Prompt != "inside" {
		t.Errorf("bob is %+v", bob)
	}
}

func TestDigest(t *testing.T) {
	o := tree(t, map[string]string{
		"home/bottles/dev.md": md(""), "home/bottles/ops.md": md("supervise: false"),
		"repo/.bot-bottle/agents/ann.md": md("bottle: dev") + "prompt",
	})
	digest := func() string { return loaded(t, o).Agent("ann").Digest() }
	first := digest()
	if len(first) != 64 || digest() != first {
		t.Errorf("digest %q, then %q", first, digest())
	}
	in(t, o, "home/bottles/dev.md", md("backend: docker"))
	if digest() != first {
		t.Error("the bottle's content is approved by whoever writes the home directory")
	}
	seen := map[string]bool{first: true}
	for _, text := range []string{md("bottle: ops") + "prompt", md("bottle: dev") + "prompt ", md("bottle: dev\nskills: []") + "prompt", md("bottle: dev") + "other"} {
		in(t, o, "repo/.bot-bottle/agents/ann.md", text)
		if d := digest(); seen[d] {
			t.Errorf("the same digest for %q", text)
		} else {
			seen[d] = true
		}
	}
}

func TestRetiredFile(t *testing.T) {
	o := tree(t, map[string]string{
		"home/bot-bottle.json": "{}", "bot-bottle.json": "{}", "repo/bot-bottle.json": "{}", "repo/.bot-bottle/agents/ann.md": md("bottle: dev"), "home/bottles/dev.md": md(""),
	})
	_, problems := Load(o)
	want := []string{
		"bot-bottle.json: warning: bot-bottle.json is not read any more (write bottles/NAME.md and agents/NAME.md in home)",
		"home/bot-bottle.json: warning: bot-bottle.json is not read any more (write bottles/NAME.md and agents/NAME.md in home)",
		"repo/bot-bottle.json: warning: bot-bottle.json is not read any more (write bottles/NAME.md and agents/NAME.md in home)",
	}
	if diff := cmp.Diff(want, texts(problems)); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
}

func TestListing(t *testing.T) {
	o := tree(t, map[string]string{
		"home/bottles/base.md": md(""), "home/bottles/dev.md": md("extends: base"), "home/bottles/bad.md": md("egres: 1\nextends: dev"),
		"home/agents/ann.md": md("bottle: dev"), "home/agents/bob.md": md("bottle: bad"), "repo/.bot-bottle/agents/ann.yaml": "bottle: base",
	})
	fleet, _ := Load(o)
	for i := range fleet.Manifests {
		fleet.Manifests[i].File = ""
	}
	want := []Manifest{
		{Kind: "bottle", Name: "bad", Scope: ScopeHome, Shown: "home/bottles/bad.md", Broken: true, Lineage: []string{"bad", "dev", "base"}},
		{Kind: "bottle", Name: "base", Scope: ScopeHome, Shown: "home/bottles/base.md", Lineage: []string{"base"}},
		{Kind: "bottle", Name: "dev", Scope: ScopeHome, Shown: "home/bottles/dev.md", Lineage: []string{"dev", "base"}},
		{Kind: "agent", Name: "ann", Scope: ScopeRepository, Shown: "repo/.bot-bottle/agents/ann.yaml", Bottle: "base"},
		{Kind: "agent", Name: "ann", Scope: ScopeHome, Shown: "home/agents/ann.md", Bottle: "dev", Shadowed: true},
		{Kind: "agent", Name: "bob", Scope: ScopeHome, Shown: "home/agents/bob.md", Bottle: "bad", Broken: true},
	}
	if diff := cmp.Diff(want, fleet.Manifests); diff != "" {
		t.Errorf("listing (-want +got):\n%s", diff)
	}
}

func TestProvenanceOfAnAgent(t *testing.T) {
	fleet := loaded(t, tree(t, map[string]string{
		"home/bottles/dev.md": md("git_user: {name: N, email: e@example.com}"),
		"home/agents/ann.md":  md("bottle: dev\ngit:\n  user:\n    name: Ann\nskills:\n  - a\n") + "\n\nBe kind.\n",
		"home/agents/bob.cue": "bottle: \"dev\"\nprompt: \"hello\"\n",
	}))
	want := map[string]Pos{
		"bottle": {"home/agents/ann.md", 2}, "skills": {"home/agents/ann.md", 6}, "skills[0]": {"home/agents/ann.md", 7},
		"git_user.name": {"home/agents/ann.md", 5}, "git_user.email": {"home/bottles/dev.md", 2}, "prompt": {"home/agents/ann.md", 11},
	}
	if diff := cmp.Diff(want, fleet.Agent("ann").From); diff != "" {
		t.Errorf("provenance (-want +got):\n%s", diff)
	}
	if got := fleet.Agent("bob").From["prompt"]; got != (Pos{"home/agents/bob.cue", 2}) {
		t.Errorf("bob's prompt is from %v", got)
	}
}
