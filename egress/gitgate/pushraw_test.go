package gitgate

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

const (
	none = "0000000000000000000000000000000000000000"
	caps = "\x00report-status side-band-64k atomic delete-refs agent=x"
)

func pkt(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

// post sends a raw request and returns what the client of git would read.
func (b *bench) post(body string) (status int, answer string) {
	b.t.Helper()
	r, err := http.Post(b.url+"/git-receive-pack", "application/x-git-receive-pack-request", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Body.Close()
	out, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r.StatusCode, string(out)
}

// pack makes a pack of what revisions say.
func (b *bench) pack(revisions string, args ...string) string {
	b.t.Helper()
	cmd := exec.Command("git", append([]string{"pack-objects", "-q", "--stdout"}, args...)...)
	cmd.Dir, cmd.Stdin = b.clone, strings.NewReader(revisions)
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatal(err)
	}
	return string(out)
}

func TestRawPushes(t *testing.T) {
	b := newBench(t, egress.Push{Force: true, Delete: true, Tags: true})
	main := b.git("rev-parse", "main")
	b.git("checkout", "-q", "-b", "work")
	b.write("a", strings.Repeat("some text\n", 200))
	id := b.commit("second")
	pack := b.pack("work\n^main\n", "--revs")
	blob := b.git("rev-parse", "work:a")
	corrupt := []byte(pack)
	corrupt[len(corrupt)/2] ^= 0xff
	other := "1234567812345678123456781234567812345678"
	for _, c := range []struct{ name, body, want string }{
		{"wrong old", pkt(other+" "+id+" refs/heads/x"+caps) + "0000" + pack, "moved on the upstream"},
		{"old of another", pkt(none+" "+id+" refs/heads/main"+caps) + "0000" + pack, "default branch"},
		{"zero ids", pkt(none+" "+none+" refs/heads/x"+caps) + "0000", "no such ref to delete"},
		{"twice", pkt(none+" "+id+" refs/heads/x"+caps) + pkt(none+" "+main+" refs/heads/x") + "0000" + pack, "a ref twice"},
		{"nul in a later ref", pkt(none+" "+id+" refs/heads/x"+caps) + pkt(none+" "+id+" refs/heads/y\x00atomic") + "0000" + pack, "no other"},
		{"line feed in a ref", pkt(none+" "+id+" refs/heads/x\n"+none+" "+id+" refs/heads/main"+caps) + "0000" + pack, "bad command"},
		{"space", pkt(none+" "+id+" refs/heads/a b"+caps) + "0000" + pack, "may not hold"},
		{"upwards", pkt(none+" "+id+" refs/heads/../../config"+caps) + "0000" + pack, "may not hold"},
		{"escape", pkt(none+" "+id+" refs/heads/\x1b[31m"+caps) + "0000" + pack, "may not hold"},
		{"HEAD", pkt(main+" "+id+" HEAD"+caps) + "0000" + pack, "no full name"},
		{"directory and file", pkt(none+" "+id+" refs/heads/d"+caps) + pkt(none+" "+id+" refs/heads/d/f") + "0000" + pack, "cannot be beside"},
		{"case in one push", pkt(none+" "+id+" refs/heads/d"+caps) + pkt(none+" "+id+" refs/heads/D") + "0000" + pack, "cannot be beside"},
		{"garbage", pkt(none+" "+id+" refs/heads/x"+caps) + "0000garbage", "ng refs/heads/x"},
		{"corrupt", pkt(none+" "+id+" refs/heads/x"+caps) + "0000" + string(corrupt), "ng refs/heads/x"},
		{"cut off", pkt(none+" "+id+" refs/heads/x"+caps) + "0000" + pack[:len(pack)/2], "ng refs/heads/x"},
		{"no pack", pkt(none+" "+id+" refs/heads/x"+caps) + "0000", "ng refs/heads/x"},
		{"objects missing", pkt(none+" "+id+" refs/heads/x"+caps) + "0000" + b.pack(id+"\n"), "ng refs/heads/x"},
		{"missing altogether", pkt(none+" "+other+" refs/heads/x"+caps) + "0000" + pack, "ng refs/heads/x"},
		{"no commit", pkt(none+" "+blob+" refs/heads/x"+caps) + "0000" + pack, "must be a commit"},
		{"no report wanted", pkt(none+" "+id+" refs/heads/x\x00side-band-64k") + "0000" + pack, "report of status"},
		{"no capabilities", pkt(none+" "+id+" refs/heads/x") + "0000" + pack, "capabilities"},
		{"signed", pkt("push-cert\x00report-status") + "0000", "bad command"},
		{"push options", pkt(none+" "+id+" refs/heads/x"+caps+" push-options") + "0000" + pkt("ci.skip") + "0000" + pack, "ng refs/heads/x"},
		{"bad packet", "zzzz", "bad packet"},
		{"upper case id", pkt(none+" "+strings.ToUpper(id)+" refs/heads/x"+caps) + "0000" + pack, "bad command"},
		{"two formats", pkt(none+" "+id+" refs/heads/x"+caps) + pkt(none+"000000000000000000000000 "+id+"000000000000000000000000 refs/heads/y") + "0000" + pack, "different lengths"},
		{"another format", pkt(strings.Repeat("0", 64)+" "+strings.Repeat("1", 64)+" refs/heads/x"+caps+" object-format=sha256") + "0000" + pack, ""},
		{"without a band", pkt(none+" "+id+" refs/heads/a b\x00report-status") + "0000" + pack, "000eunpack ok\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			before, entries := b.refs(), len(b.logged())
			status, answer := b.post(c.body)
			if !strings.Contains(answer, c.want) {
				t.Errorf("%d %q, want %q", status, answer, c.want)
			}
			if b.refs() != before {
				t.Errorf("it changed the upstream: %s", b.refs())
			}
			logged := b.logged()[entries:]
			if len(logged) == 0 || logged[0].Verdict == Accepted || logged[0].Reason == "" {
				t.Errorf("logged %+v", logged)
			}
			t.Logf("%+v", logged)
			b.nothingLeft()
		})
	}
	b.t = t
	// What an honest but old client sends, and a question before a large push.
	if status, answer := b.post("0000"); status != 200 || answer != "" {
		t.Errorf("a question: %d %q", status, answer)
	}
	if _, answer := b.post(pkt(none+" "+id+" refs/heads/plain\x00report-status") + "0000" + pack); !strings.Contains(answer, "ok refs/heads/plain") {
		t.Errorf("without bands: %q", answer)
	}
	if thin := b.pack("work\n^main\n", "--revs", "--thin"); thin != "" {
		if _, answer := b.post(pkt(none+" "+id+" refs/heads/thin"+caps) + "0000" + thin); !strings.Contains(answer, "ok refs/heads/thin") {
			t.Errorf("a thin pack: %q", answer)
		}
	}
}

// A push of many refs that is refused is told of once, by the ref that says why.
func TestRefusedIsToldOnce(t *testing.T) {
	b := newBench(t, egress.Push{})
	var told []string
	b.gate.o.Refused = func(e Entry, more int) { told = append(told, fmt.Sprintf("%s %s +%d", e.Ref, e.Reason, more)) }
	b.git("checkout", "-q", "-b", "work")
	b.write("a", "some text\n")
	id := b.commit("second")
	body := pkt(none + " " + id + " refs/heads/fine-0" + caps)
	for n := range 39 {
		name := fmt.Sprintf("refs/heads/fine-%d", n+1)
		if n == 20 {
			name = "refs/tags/v1"
		}
		body += pkt(none + " " + id + " " + name)
	}
	_, _ = b.post(body + "0000" + b.pack("work\n^main\n", "--revs"))
	if len(told) != 1 || !strings.HasPrefix(told[0], "refs/tags/v1 ") || !strings.HasSuffix(told[0], " +39") {
		t.Errorf("told %q", told)
	}
	if n := len(b.logged()); n != 40 {
		t.Errorf("%d entries are logged", n)
	}
	_, _ = b.post(pkt(none+" "+id+" refs/heads/fine"+caps) + "0000" + b.pack("work\n^main\n", "--revs"))
	if len(told) != 1 {
		t.Errorf("of one that passed: %q", told)
	}
}

// TestUnreachableObjects: what lies about in the mirror is as new as what comes.
func TestUnreachableObjects(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "-b", "work")
	b.write("s", secret)
	id := b.commit("a secret")
	b.git("push", "-q", b.upstream, "work")
	b.git("fetch", "-q", "origin")
	b.git("push", "-q", b.upstream, ":work")
	b.git("fetch", "-q", "-p", "origin")
	if out, err := exec.Command("git", "--git-dir", b.served.Load().mirror.dir, "cat-file", "-t", id).CombinedOutput(); err != nil {
		t.Fatalf("the mirror does not have it: %s", out)
	}
	_, answer := b.post(pkt(none+" "+id+" refs/heads/again"+caps) + "0000" + b.pack(""))
	if !strings.Contains(answer, "test-secret") {
		t.Errorf("%q", answer)
	}
}

func TestUnsoundObjects(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.served.Load().remote.Push.Protect = nil
	b.git("checkout", "-q", "-b", "work")
	object := func(kind, content string) string {
		t.Helper()
		cmd := exec.Command("git", "hash-object", "-w", "--literally", "-t", kind, "--stdin")
		cmd.Dir, cmd.Stdin = b.clone, strings.NewReader(content)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s", out)
		}
		return strings.TrimSpace(string(out))
	}
	blob := object("blob", "[core]\n")
	raw := func(id string) string {
		out, err := hex.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	commit := func(tree string) string {
		return object("commit", "tree "+tree+"\nauthor a <a@example.com> 1 +0000\ncommitter a <a@example.com> 1 +0000\n\nx\n")
	}
	tree := object("tree", "100644 .git\x00"+raw(blob))
	id := commit(tree)
	_, answer := b.post(pkt(none+" "+id+" refs/heads/x"+caps) + "0000" + b.pack(id+"\n"+tree+"\n"+blob+"\n"))
	if !strings.Contains(answer, "hasDotgit") {
		t.Errorf("%q", answer)
	}
	if e := b.logged(); len(e) != 1 || e[0].Verdict != Refused || !strings.Contains(e[0].Reason, "hasDotgit") {
		t.Errorf("logged %+v", e)
	}
	// Old honest history is no crime.
	tree = object("tree", "0100644 a\x00"+raw(blob))
	id = commit(tree)
	if _, answer := b.post(pkt(none+" "+id+" refs/heads/y"+caps) + "0000" + b.pack(id+"\n"+tree+"\n"+blob+"\n")); !strings.Contains(answer, "ok refs/heads/y") {
		t.Errorf("%q", answer)
	}
}

func TestTooLarge(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.gate.most = 1 << 20
	b.git("checkout", "-q", "-b", "work")
	big := make([]byte, 3<<20)
	f, err := os.Open("/dev/urandom")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.ReadFull(f, big); err != nil {
		t.Fatal(err)
	}
	b.write("big", string(big))
	b.commit("big")
	b.refused("it is larger than 1 MiB", "work")
}

func TestShallowClone(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "main")
	for i := range 5 {
		b.write("f", strings.Repeat("x", i+1))
		b.commit("more")
	}
	b.git("push", "-q", b.upstream, "main")
	shallow := filepath.Join(t.TempDir(), "shallow")
	b.git("clone", "-q", "--depth", "2", b.url, shallow)
	b.clone = shallow
	b.git("checkout", "-q", "-b", "work")
	b.write("g", "new")
	b.commit("on a shallow clone")
	b.accepted("work")
}

func FuzzPushHead(f *testing.F) {
	f.Add([]byte(pkt(none+" "+none+" refs/heads/x"+caps) + "0000"))
	f.Add([]byte(pkt("shallow "+none) + pkt(none+" "+none+" refs/heads/x"+caps) + "0000PACK"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readPushHead(bytes.NewReader(data))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(data, h.raw) || !bytes.HasSuffix(h.raw, []byte("0000")) {
			t.Fatal("git would read something else")
		}
		if n := strings.Count(h.lines(), "\n"); n != len(h.updates) {
			t.Fatalf("%d lines for %d refs", n, len(h.updates))
		}
	})
}
