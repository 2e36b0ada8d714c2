package gitgate

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/leaks"
)

// object writes an object that git itself would not write.
func (b *bench) object(kind, content string) string {
	b.t.Helper()
	cmd := exec.Command("git", "hash-object", "-w", "--literally", "-t", kind, "--stdin")
	cmd.Dir, cmd.Stdin = b.clone, strings.NewReader(content)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s", out)
	}
	return strings.TrimSpace(string(out))
}

// A branch may be named like the id of an object: what is pushed is the object
// that was judged, and not what the branch is.
func TestBranchNamedLikeAnObject(t *testing.T) {
	b := newBench(t, egress.Push{Tags: true})
	b.git("checkout", "-q", "-b", "theirs")
	b.commit("theirs")
	b.git("push", "-q", b.upstream, "theirs")
	good := b.commit("on top")
	b.git("tag", "-a", "-m", "one", "v1")
	tag := b.git("rev-parse", "v1")
	b.git("checkout", "-q", "-b", "other", "main")
	b.commit("without theirs")
	b.refused("the id of an object", "other:refs/heads/"+good)
	b.refused("the id of an object", "other:refs/tags/"+tag)
	b.git("push", "-q", b.upstream, "other:refs/heads/"+good, "other:refs/heads/"+tag, "other:refs/tags/"+tag)
	b.git("push", "-q", "origin", good+"^{commit}:refs/heads/theirs", tag+"^{tag}:refs/tags/v1")
	if got := b.refs(); !strings.Contains(got, "refs/heads/theirs "+good) || !strings.Contains(got, "refs/tags/v1 "+tag) {
		t.Errorf("something else arrived than %s and %s:\n%s", good, tag, got)
	}
}

// A branch of the upstream may be another name of its default branch.
func TestOtherNameOfTheDefaultBranch(t *testing.T) {
	b := newBench(t, egress.Push{Delete: true})
	b.git("--git-dir", b.upstream, "symbolic-ref", "refs/heads/trunk", "refs/heads/main")
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.refused("another name of refs/heads/main", "work:trunk")
	b.refused("another name of refs/heads/main", ":trunk")
}

// A branch is not named like a tag, nor the other way round: by that name people
// and their tools get the one or the other.
func TestBranchNamedLikeATag(t *testing.T) {
	b := newBench(t, egress.Push{Tags: true, Force: true})
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.git("push", "-q", b.upstream, "main:refs/tags/v1.0", "main:refs/heads/theirs")
	b.refused("cannot be beside refs/tags/v1.0", "work:refs/heads/v1.0")
	b.refused("cannot be beside refs/tags/v1.0", "work:refs/heads/V1.0")
	b.refused("cannot be beside refs/heads/theirs", "work:refs/tags/theirs")
	b.refused("cannot be beside refs/", "work:refs/heads/v2", "work:refs/tags/v2")
	b.git("push", "-q", b.upstream, "main:refs/heads/v1.0") // by a person
	b.accepted("work:refs/heads/v1.0")
	b.accepted("work:refs/heads/v1.0.1", "work:refs/tags/v2")
}

// refs/heads/refs/heads/main is what git may take for refs/heads/main.
func TestRefsWithinRefs(t *testing.T) {
	b := newBench(t, egress.Push{Tags: true})
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.refused("within", "work:refs/heads/refs/heads/main")
	b.refused("within", "work:refs/tags/refs/heads/main")
}

// What a finding is in may be known: all else must have been searched.
func TestSearchEndsAtKnownFinding(t *testing.T) {
	b := newBench(t, egress.Push{})
	known := b.git("rev-parse", "main:README")
	b.gate.scan = func(_ context.Context, req leaks.Request, objects io.Reader) (leaks.Report, error) {
		return leaks.Report{Findings: []leaks.Finding{{Object: known, Type: "blob", Line: 1, Rule: "x"}}}, nil
	}
	b.git("checkout", "-q", "-b", "work")
	b.write("a", secret)
	b.commit("unsearched")
	b.refused("cannot be searched", "work")
}

// Objects that say something else of another than it is would hide what lies
// behind it.
func TestObjectsThatLie(t *testing.T) {
	b := newBench(t, egress.Push{Tags: true})
	b.served.Load().remote.Push.Protect = nil
	b.git("checkout", "-q", "-b", "work")
	b.write("d/s", secret)
	id := b.commit("hidden")
	tree, dir, blob := b.git("rev-parse", "HEAD^{tree}"), b.git("rev-parse", "HEAD:d"), b.git("rev-parse", "HEAD:d/s")
	raw := func(id string) string {
		out, err := hex.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	commit := func(tree string) string {
		return b.object("commit", "tree "+tree+"\nauthor a <a@example.com> 1 +0000\ncommitter a <a@example.com> 1 +0000\n\nx\n")
	}
	tag := func(id, kind string) string {
		return b.object("tag", "object "+id+"\ntype "+kind+"\ntag v\ntagger a <a@example.com> 1 +0000\n\nx\n")
	}
	for name, c := range map[string]struct{ ref, id string }{
		"a commit as a blob":         {"refs/tags/v", tag(id, "blob")},
		"a tree as a blob":           {"refs/tags/v", tag(tree, "blob")},
		"a commit as a tag":          {"refs/tags/v", tag(id, "tag")},
		"a blob as a commit":         {"refs/tags/v", tag(blob, "commit")},
		"a directory as a file":      {"refs/heads/x", commit(b.object("tree", "100644 d\x00"+raw(dir)))},
		"a directory as a link":      {"refs/heads/x", commit(b.object("tree", "120000 d\x00"+raw(dir)))},
		"a directory as a submodule": {"refs/heads/x", commit(b.object("tree", "160000 d\x00"+raw(dir)))},
		"a file as a submodule":      {"refs/heads/x", commit(b.object("tree", "160000 d\x00"+raw(blob)))},
		"a device":                   {"refs/heads/x", commit(b.object("tree", "060000 d\x00"+raw(blob)))},
		"a mode that overflows":      {"refs/heads/x", commit(b.object("tree", "4000000000000160000 d\x00"+raw(blob)))},
		"a tree as a parent":         {"refs/heads/x", b.object("commit", "tree "+b.git("rev-parse", "main^{tree}")+"\nparent "+dir+"\nauthor a <a@example.com> 1 +0000\ncommitter a <a@example.com> 1 +0000\n\nx\n")},
	} {
		t.Run(name, func(t *testing.T) {
			b.t, c.ref = t, c.ref+strings.ReplaceAll(name, " ", "-")
			all := []string{c.id, id, tree, dir, blob}
			if out, err := b.try("rev-parse", "--verify", "-q", c.id+"^{tree}"); err == nil {
				all = append(all, out)
			}
			_, answer := b.post(pkt(none+" "+c.id+" "+c.ref+caps) + "0000" + b.pack(strings.Join(all, "\n")+"\n"))
			t.Logf("%.300q", answer)
			for _, kept := range []string{dir, blob} {
				cmd := exec.Command("git", "--git-dir", b.upstream, "cat-file", "-p", kept)
				if out, err := cmd.CombinedOutput(); err == nil && bytes.Contains(out, []byte(secret)) {
					t.Errorf("%s is on the upstream", kept)
				}
			}
			if strings.Contains(answer, "ok "+c.ref) != strings.Contains(b.refs(), c.ref+" ") {
				t.Errorf("the answer and the upstream differ: %s", b.refs())
			}
		})
	}
}

// A name is as new as the tree that holds it, whatever the file.
func TestSecretInTheNameOfAKnownFile(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.write("old", "first")
	b.commit("one")
	b.write("old", "second")
	b.commit("two")
	b.write("old", "third")
	b.commit("three")
	b.git("push", "-q", b.upstream, "main")
	for _, content := range []string{"first", "third"} {
		b.git("checkout", "-q", "-B", "work", "main")
		b.write(secret+"/"+"x", content)
		b.commit("by name")
		b.refused("test-secret", "work")
	}
}

// What was taken back within a push is in the history all the same: merged by a
// person who saw no change, each commit of it would be a base to push from.
func TestProtectedPathsInHistory(t *testing.T) {
	b := newBench(t, egress.Push{Tags: true})
	const evil = "on: evil\n"
	back := func() {
		b.git("checkout", "-q", "main", "--", ".github")
		b.commit("taken back")
	}
	for name, change := range map[string]func(){
		"change": func() {
			b.write(".github/workflows/ci.yml", evil)
			b.commit("evil")
			b.commit("between")
			back()
		},
		"delete": func() {
			b.git("rm", "-q", ".github/workflows/ci.yml")
			b.commit("gone")
			back()
		},
		"in a side": func() {
			b.git("checkout", "-q", "-b", "side")
			b.write(".github/workflows/ci.yml", evil)
			b.commit("evil")
			b.git("checkout", "-q", "work")
			b.commit("ours")
			b.git("merge", "-q", "-s", "ours", "-m", "m", "side")
			b.git("branch", "-q", "-D", "side")
		},
		"in a root": func() {
			b.git("checkout", "-q", "--orphan", "side")
			b.write(".github/workflows/ci.yml", evil)
			b.commit("evil")
			b.git("checkout", "-q", "work")
			b.git("merge", "-q", "-s", "ours", "--allow-unrelated-histories", "-m", "m", "side")
			b.git("branch", "-q", "-D", "side")
		},
		"in a stranger's": func() {
			b.git("checkout", "-q", "-b", "side")
			b.write(".github/workflows/ci.yml", evil)
			b.commit("evil")
			b.git("push", "-q", b.upstream, "+side:refs/pull/1/head")
			b.git("checkout", "-q", "work")
			b.git("merge", "-q", "-s", "ours", "--no-ff", "-m", "m", "side")
			b.git("branch", "-q", "-D", "side")
		},
		"in a merge": func() {
			b.git("checkout", "-q", "-b", "side")
			b.commit("theirs")
			b.git("checkout", "-q", "work")
			b.commit("ours")
			b.git("merge", "-q", "--no-commit", "side")
			b.write(".github/workflows/ci.yml", evil)
			b.commit("merged")
			back()
			b.git("branch", "-q", "-D", "side")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			b.git("checkout", "-q", "-B", "work", "main")
			change()
			if b.git("diff", "--name-only", "main", "work", "--", ".github") != "" {
				t.Fatal("it is not taken back")
			}
			b.refused("rewrite that", "work")
			b.git("tag", "-f", "-a", "-m", "it", "v1")
			b.refused("rewrite that", "v1")
		})
	}
	b.t = t
	// What comes from the upstream's default branch is not looked at again, nor
	// what the branch had.
	b.git("checkout", "-q", "-B", "work", "main")
	b.git("checkout", "-q", "main")
	for _, text := range []string{"on: [push]\n", "on: [push, tag]\n"} {
		b.write(".github/workflows/ci.yml", text)
		b.commit("a person's")
	}
	b.git("push", "-q", b.upstream, "main")
	b.git("checkout", "-q", "work")
	b.commit("ours")
	b.git("merge", "-q", "-m", "the one before the last", "main~1")
	b.commit("more")
	b.git("merge", "-q", "-m", "the last", "main")
	b.git("tag", "tree", "work^{tree}")
	b.accepted("work", "tree")
	b.write(".github/workflows/ci.yml", "on: [theirs]\n")
	b.commit("a person's")
	b.git("checkout", "-q", "main", "--", ".github")
	b.commit("taken back")
	b.git("push", "-q", b.upstream, "work:theirs")
	b.commit("on top")
	b.accepted("work:theirs")
}

// A history that a client says is cut off is whole all the same.
func TestShallowLies(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "-b", "work")
	b.write("s", secret)
	hides := b.commit("holds it")
	b.git("rm", "-q", "s")
	id := b.commit("removed")
	whole := b.pack("work\n^main\n", "--revs")
	last := b.pack(id + "\n")
	for name, c := range map[string]struct{ shallow, pack, want string }{
		"cut at the last":            {id, whole, "ng refs/heads/x"},
		"cut at the one before":      {hides, whole, "ng refs/heads/x"},
		"cut at the root":            {b.git("rev-parse", "main"), whole, "test-secret"},
		"cut where nothing is":       {"1234567812345678123456781234567812345678", whole, "test-secret"},
		"cut, and without the rest":  {id, last, "ng refs/heads/x"},
		"cut before, without it too": {hides, last, "ng refs/heads/x"},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			before := b.refs()
			_, answer := b.post(pkt("shallow "+c.shallow) + pkt(none+" "+id+" refs/heads/x"+caps) + "0000" + c.pack)
			if !strings.Contains(answer, c.want) || b.refs() != before {
				t.Errorf("%q\n%s", answer, b.refs())
			}
			t.Logf("%q", answer)
			b.nothingLeft()
		})
	}
}
