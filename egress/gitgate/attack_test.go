package gitgate

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

// raw sends bytes as they are and reads one answer.
func (w *world) raw(request string) (int, string) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(c, request) //nolint:errcheck // the answer tells
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.t.Fatalf("%.80q: %v", request, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		w.t.Fatalf("%.80q: %v", request, err)
	}
	return answer.StatusCode, string(text)
}

func (w *world) get(target string, header ...string) (int, string) {
	w.t.Helper()
	return w.raw("GET " + target + " HTTP/1.1\r\nHost: git-gate\r\nConnection: close\r\n" + strings.Join(header, "") + "\r\n")
}

func (w *world) post(target string, header map[string]string, body string) (int, string) {
	w.t.Helper()
	head := ""
	for k, v := range header {
		head += k + ": " + v + "\r\n"
	}
	return w.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: git-gate\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s", target, len(body), head, body))
}

const smart = "/info/refs?service=git-upload-pack"

// Paths that name a repository to anything that decodes or cleans, and others
// that name none: no git runs for them, and no upstream is asked.
func TestPathsThatAreNoRemotes(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	secret := filepath.Join(w.dir, "up", "origin.git")
	for _, target := range []string{
		"/../origin.git" + smart, "/x/../origin.git" + smart, "/origin.git/../origin.git" + smart, "/./origin.git" + smart,
		"//origin.git" + smart, "/origin.git//info/refs?service=git-upload-pack", "/origin.git/./info/refs?service=git-upload-pack",
		"/origin%2egit" + smart, "/%6frigin.git" + smart, "/origin.git%2finfo/refs?service=git-upload-pack", "/origin.git/info%2frefs?service=git-upload-pack",
		"/origin.git%00" + smart, "/%00origin.git" + smart, "/origin.git/info/refs%00?service=git-upload-pack", "/origin.git;x" + smart,
		"/origin.git2" + smart, "/origin.git.git" + smart, "/origin" + smart, "/Origin.git" + smart, "/origin.GIT" + smart, "/.git" + smart, "/-origin.git" + smart,
		"/" + secret + smart, "/..%2f..%2f" + secret + smart, "/mirrors/x.git" + smart, "/", "/favicon.ico", "*",
		"/origin.git", "/origin.git/", "/origin.git/info/refs", "/origin.git/info/refs?", "/origin.git/info/refs?service=",
		"/origin.git/info/refs?service=git-upload-pack&service=git-receive-pack", "/origin.git/info/refs?service=git-upload-pack%20--upload-pack=x",
		"/origin.git/info/refs?service=--upload-pack=touch%20x", "/origin.git/info/refs?service=git-upload-archive", "/origin.git/info/refs?service=upload-pack",
		"/origin.git/info/refs?service=git-upload-pack;x", "/origin.git/info/refs?x=1&service=git-upload-pack", "/origin.git/info/refs?service=git%2dupload-pack",
		"/origin.git/HEAD", "/origin.git/objects/info/packs", "/origin.git/objects/../config", "/origin.git/config", "/origin.git/git-upload-pack/..",
		"/" + strings.Repeat("a", 10000) + ".git" + smart,
	} {
		status, text := w.get(target)
		if strings.Contains(text, "refs/heads") || (status == 200 && !strings.Contains(text, "ERR git gate: ")) {
			t.Errorf("%s: %d %q", target, status, text)
		}
		if strings.Contains(text, w.dir) {
			t.Errorf("%s: names a path: %q", target, text)
		}
	}
	if n := w.up.runs.Load(); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
	// What it should be like; absolute, and for another Host, it is the same.
	for _, target := range []string{"/origin.git" + smart, "http://192.0.2.1/origin.git" + smart, "https://user:pw@x/origin.git" + smart} {
		if status, text := w.get(target, "Host: evil\r\n"[:0]); status != 200 || !strings.Contains(text, "refs/heads/main") {
			t.Errorf("%s: %d %q", target, status, text)
		}
	}
}

func TestWhatGitShowsOfRefusals(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.fails(`fatal: remote error: git gate: "origin.git2" is no remote of this bottle; it has origin.git`, w.dir, "ls-remote", w.url("origin.git2"))
	w.fails(`"origin.git.git" is no remote`, w.dir, "ls-remote", w.url("origin.git.git"))
	w.fails(`"other.git" is no remote`, w.dir, "clone", w.url("other.git"))
	w.fails(`"a" is no remote of this bottle; it has origin.git`, w.dir, "clone", w.url("a/b/c.git"))
	w.fails(`this is no path of a remote of this bottle; it has origin.git`, w.dir, "clone", w.url("%2e%2e/c.git"))
	w.doc.Remotes[0].Push.Off = true
	w.swap()
	to := w.clone("origin")
	w.fails("fatal: remote error: git gate: pushing to origin is switched off for this bottle (push: off)", to, "push", "origin", "HEAD:refs/heads/x")
	if _, text := w.post("/origin.git/git-receive-pack", map[string]string{"Content-Type": requestType(pushName)}, "0000"); !strings.Contains(text, "switched off") {
		t.Errorf("a push without asking: %q", text)
	}
	for _, target := range []string{"/origin.git/info/lfs/objects/batch", "/other.git/info/lfs/locks/verify"} {
		status, text := w.post(target, nil, `{"operation":"upload"}`)
		if status != 501 || !strings.HasPrefix(text, `{"message":"git gate: git-lfs is not served`) {
			t.Errorf("%s: %d %q", target, status, text)
		}
	}
	if status, text := w.get("/origin.git/objects/info/packs"); status != 403 || !strings.Contains(text, "smart HTTP only") {
		t.Errorf("dumb: %d %q", status, text)
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	for header, v2 := range map[string]bool{
		"version=2": true, "version=1:version=2": true, "key=value:version=2": true, "": false, "version=2 ": true, // trimmed by HTTP
		"version=02": false, "version=3": false, "version=2;x": false, "version=2\tGIT_DIR=/": false, "VERSION=2": false,
		"version=2:" + strings.Repeat("x", 300): false,
	} {
		status, text := w.get("/origin.git"+smart, "Git-Protocol: "+header+"\r\n")
		if got := strings.HasPrefix(text, "000eversion 2\n"); status != 200 || got != v2 {
			t.Errorf("%q: %d %.60q", header, status, text)
		}
	}
	if status, _ := w.get("/origin.git"+smart, "X: "+strings.Repeat("a", 64<<10)+"\r\n"); status != 431 {
		t.Errorf("a huge header: %d", status)
	}
	upload := "/origin.git/git-upload-pack"
	for want, header := range map[int]map[string]string{
		415: {"Content-Type": "text/plain"},
		200: {"Content-Type": requestType(uploadName), "Git-Protocol": "version=2"},
	} {
		if status, text := w.post(upload, header, "0014command=ls-refs\n0000"); status != want {
			t.Errorf("%v: %d %q", header, status, text)
		}
	}
	if status, _ := w.post(upload, map[string]string{"Content-Type": requestType(uploadName), "Content-Encoding": "br"}, "0000"); status != 415 {
		t.Errorf("another coding: %d", status)
	}
	if status, _ := w.get(upload); status != 405 {
		t.Errorf("GET of a service: %d", status)
	}
}

// Nothing that a bottle sends to fetch is ever written to the mirror, nor can
// it make git run a program.
func TestTheMirrorIsOnlyRead(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.clone("origin")
	dir := w.gate.mirrorOf("origin").dir
	before := w.git(dir, "count-objects", "-v") + w.git(dir, "for-each-ref")
	to := w.clone("origin")
	w.git(to, "commit", "-q", "--allow-empty", "-m", "x")
	_, _ = w.try(to, "push", "origin", "HEAD:refs/heads/x")
	_, _ = w.try(to, "push", "--mirror", "origin")
	_, _ = w.try(to, "fetch", "--upload-pack=touch "+filepath.Join(w.dir, "owned"), "origin")
	for _, body := range []string{"0000", "zzzz", "0032want " + strings.Repeat("0", 40) + "\n0000", "0014command=evil-cmd0000", strings.Repeat("0014command=ls-refs\n", 1000)} {
		w.post("/origin.git/git-upload-pack", map[string]string{"Content-Type": requestType(uploadName), "Git-Protocol": "version=2"}, body)
		w.post("/origin.git/git-upload-pack", map[string]string{"Content-Type": requestType(uploadName)}, body)
	}
	if after := w.git(dir, "count-objects", "-v") + w.git(dir, "for-each-ref"); after != before {
		t.Errorf("the mirror changed from %s to %s", before, after)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "owned")); err == nil {
		t.Error("a program ran")
	}
	for _, name := range []string{"FETCH_HEAD", "hooks", "shallow"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("the mirror has %s", name)
		}
	}
	w.clone("origin") // the nonsense made it look whether it is whole
	if n := w.up.fetch.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

// What the upstream says is one clean line to the agent.
func TestTextsAreClean(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.up.setDown(&upstream.Failure{Kind: upstream.Other, Text: "bad\n\x1b[31mred\u202e\x00 " + strings.Repeat("long ", 1000)})
	_, text := w.get("/origin.git" + smart)
	if !strings.Contains(text, "git gate: origin: bad [31mred long") || strings.ContainsAny(text, "\x1b\x00\u202e") || len(text) > 1100 {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}
