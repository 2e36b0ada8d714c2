package gitgate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

func TestCloneInEveryProtocol(t *testing.T) {
	w := newWorld(t)
	bare := w.remote("origin")
	w.git(bare, "tag", "-a", "-m", "one", "v1", "main")
	tip := w.commit(bare, "main", "b", "more\n")
	for _, version := range []string{"0", "1", "2"} {
		t.Run(version, func(t *testing.T) {
			to := w.clone("origin", "-c", "protocol.version="+version)
			if got := w.git(to, "rev-parse", "HEAD"); got != tip {
				t.Errorf("HEAD is %s, want %s", got, tip)
			}
			if got := w.git(to, "describe"); !strings.HasPrefix(got, "v1-1-") {
				t.Errorf("describe says %s", got)
			}
			w.git(to, "fsck", "--strict")
			if got := w.git(to, "ls-remote", "origin"); !strings.Contains(got, tip+"\trefs/heads/main") || !strings.Contains(got, "refs/tags/v1^{}") {
				t.Errorf("ls-remote says %s", got)
			}
		})
	}
}

func TestShallowPartialAndSingleBranch(t *testing.T) {
	w := newWorld(t)
	bare := w.remote("origin")
	for _, f := range []string{"a", "b", "c"} {
		w.commit(bare, "main", f, f)
	}
	w.commit(bare, "other", "o", "o")
	for _, version := range []string{"0", "2"} {
		v := "protocol.version=" + version
		to := w.clone("origin", "-c", v, "--depth", "1")
		if got := w.git(to, "rev-list", "--count", "HEAD"); got != "1" {
			t.Errorf("v%s: a shallow clone has %s commits", version, got)
		}
		w.git(to, "fetch", "-q", "--deepen", "2")
		if got := w.git(to, "rev-list", "--count", "HEAD"); got != "3" {
			t.Errorf("v%s: deepened to %s commits", version, got)
		}
		w.git(to, "fetch", "-q", "--unshallow")
		if got := w.git(to, "rev-list", "--count", "HEAD"); got != "4" {
			t.Errorf("v%s: unshallowed to %s commits", version, got)
		}
		to = w.clone("origin", "-c", v, "--single-branch", "--no-tags")
		if got := w.git(to, "branch", "-r"); strings.Contains(got, "other") {
			t.Errorf("v%s: a single branch brings %s", version, got)
		}
		for _, filter := range []string{"blob:none", "tree:0", "blob:limit=0"} {
			to = w.clone("origin", "-c", v, "--no-checkout", "--filter="+filter)
			if got := w.git(to, "rev-list", "--objects", "--all", "--missing=print"); !strings.Contains(got, "?") {
				t.Errorf("v%s: %s leaves nothing out", version, filter)
			}
			w.git(to, "checkout", "-q", "main") // fetches what is missing
			if got, err := os.ReadFile(filepath.Join(to, "c")); err != nil || string(got) != "c" {
				t.Errorf("v%s: %s: %q %v", version, filter, got, err)
			}
		}
	}
}

func TestFetchFollowsTheUpstream(t *testing.T) {
	w := newWorld(t)
	bare := w.remote("origin")
	to := w.clone("origin")
	tip := w.commit(bare, "main", "new", "new\n")
	w.git(to, "fetch", "-q")
	if got := w.git(to, "rev-parse", "origin/main"); got != tip {
		t.Errorf("origin/main is %s, want %s", got, tip)
	}
	before := w.up.fetch.Load()
	w.git(to, "fetch", "-q")
	if w.up.fetch.Load() != before {
		t.Error("a fetch from an upstream without changes fetched")
	}
	// A branch that is gone, one that is a directory now, and back.
	w.git(bare, "branch", "a", "main")
	w.git(to, "fetch", "-q", "--prune")
	w.git(bare, "branch", "-D", "a")
	w.git(bare, "branch", "a/b", "main")
	w.git(to, "fetch", "-q", "--prune")
	if got := w.git(to, "for-each-ref", "--format=%(refname)", "refs/remotes/origin/a"); got != "refs/remotes/origin/a/b" {
		t.Errorf("refs are %q", got)
	}
	w.git(bare, "branch", "-D", "a/b")
	w.git(bare, "branch", "a", "main")
	w.git(to, "fetch", "-q", "--prune")
	if got := w.git(to, "for-each-ref", "--format=%(refname)", "refs/remotes/origin/a"); got != "refs/remotes/origin/a" {
		t.Errorf("refs are %q", got)
	}
	// History that was rewritten.
	w.git(bare, "update-ref", "refs/heads/main", tip+"^")
	w.git(to, "fetch", "-q")
	if got, want := w.git(to, "rev-parse", "origin/main"), w.git(bare, "rev-parse", "main"); got != want {
		t.Errorf("origin/main is %s, want %s", got, want)
	}
}

func TestHeadFollowsTheUpstream(t *testing.T) {
	w := newWorld(t)
	bare := w.remote("origin")
	w.commit(bare, "trunk", "t", "t")
	head := func() string { return w.git(w.dir, "ls-remote", "--symref", w.url("origin.git"), "HEAD") }
	if got := head(); !strings.HasPrefix(got, "ref: refs/heads/main\t") {
		t.Errorf("HEAD is %s", got)
	}
	w.git(bare, "symbolic-ref", "HEAD", "refs/heads/trunk")
	if got := head(); !strings.HasPrefix(got, "ref: refs/heads/trunk\t") {
		t.Errorf("HEAD is %s", got)
	}
	tip := w.git(bare, "rev-parse", "main")
	w.git(bare, "update-ref", "--no-deref", "HEAD", tip)
	if got := head(); got != tip+"\tHEAD" {
		t.Errorf("a detached HEAD is %s", got)
	}
	w.git(bare, "symbolic-ref", "HEAD", "refs/heads/none")
	if got := head(); got != "" {
		t.Errorf("a HEAD without a branch is %s", got)
	}
}

func TestEmptyUpstream(t *testing.T) {
	w := newWorld(t)
	bare := filepath.Join(w.dir, "up", "empty.git")
	w.git(w.dir, "init", "-q", "--bare", bare)
	w.declare("empty", bare)
	w.swap()
	to := w.clone("empty")
	tip := w.commit(bare, "main", "a", "a")
	w.git(to, "fetch", "-q")
	if got := w.git(to, "rev-parse", "origin/main"); got != tip {
		t.Errorf("origin/main is %s, want %s", got, tip)
	}
}

func TestSHA256Upstream(t *testing.T) {
	w := newWorld(t)
	bare := filepath.Join(w.dir, "up", "new.git")
	w.git(w.dir, "init", "-q", "--bare", "-b", "main", "--object-format=sha256", bare)
	tip := w.commit(bare, "main", "a", "a")
	w.declare("new", bare)
	w.swap()
	for _, version := range []string{"0", "2"} {
		to := w.clone("new", "-c", "protocol.version="+version)
		if got := w.git(to, "rev-parse", "HEAD"); got != tip || len(got) != 64 {
			t.Errorf("HEAD is %s, want %s", got, tip)
		}
	}
	// It became another repository.
	if err := os.RemoveAll(bare); err != nil {
		t.Fatal(err)
	}
	w.git(w.dir, "init", "-q", "--bare", "-b", "main", bare)
	tip = w.commit(bare, "main", "a", "a")
	if got := w.git(w.clone("new"), "rev-parse", "HEAD"); got != tip {
		t.Errorf("HEAD is %s, want %s", got, tip)
	}
}

func TestNeverStale(t *testing.T) {
	w := newWorld(t)
	bare := w.remote("origin")
	to := w.clone("origin")
	w.up.setDown(&upstream.Failure{Kind: upstream.Unreachable, Text: "cannot reach upstream.test:22: connection refused"})
	want := "fatal: remote error: git gate: origin: cannot reach upstream.test:22: connection refused"
	for _, v := range []string{"0", "1", "2"} {
		v = "protocol.version=" + v
		w.fails(want, to, "-c", v, "fetch")
		w.fails(want, w.dir, "-c", v, "clone", w.url("origin.git"), "again")
		w.fails(want, w.dir, "-c", v, "ls-remote", w.url("origin.git"))
		w.fails(want, to, "-c", v, "push", "origin", "HEAD:refs/heads/x")
	}
	w.up.setDown(nil)
	w.git(to, "fetch", "-q")
	if err := os.Rename(bare, bare+".gone"); err != nil {
		t.Fatal(err)
	}
	w.fails("git gate: origin: upstream.test has no such repository", to, "fetch")
	if err := os.Rename(bare+".gone", bare); err != nil {
		t.Fatal(err)
	}
	w.git(to, "fetch", "-q")
}

// A hand-made client that leaves out what git does first gets nothing old.
func TestNoFetchWithoutAsking(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.clone("origin")
	w.gate.mirrorOf("origin").asked.Store(time.Now().Add(-freshFor - time.Second).Unix())
	w.up.setDown(&upstream.Failure{Kind: upstream.Unreachable, Text: "cannot reach it"})
	_, text := w.post("/origin.git/git-upload-pack", map[string]string{"Content-Type": requestType(uploadName), "Git-Protocol": "version=2"}, "0014command=ls-refs\n0000")
	if want := pktError("origin: cannot reach it"); text != want {
		t.Errorf("got %q, want %q", text, want)
	}
	w.up.setDown(nil)
	_, text = w.post("/origin.git/git-upload-pack", map[string]string{"Content-Type": requestType(uploadName), "Git-Protocol": "version=2"}, "0014command=ls-refs\n0000")
	if !strings.Contains(text, " refs/heads/main\n") {
		t.Errorf("got %q", text)
	}
}

func (g *Gate) mirrorOf(name string) *mirror { return (*g.remotes.Load())[name].mirror }
