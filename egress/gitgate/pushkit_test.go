package gitgate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/leaks"
	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

const secret = "SECRET-0123456789-SECRET"

// searcher finds one word in whole objects, and reads as the scanner does.
func searcher(_ context.Context, req leaks.Request, objects io.Reader) (leaks.Report, error) {
	var report leaks.Report
	find := func(content []byte, f leaks.Finding) {
		if i := bytes.Index(content, []byte(secret)); i >= 0 {
			f.Line, f.Rule, f.Excerpt = 1+bytes.Count(content[:i], []byte("\n")), "test-secret", "SECR****"
			report.Findings = append(report.Findings, f)
		}
	}
	for _, ref := range req.Refs {
		find([]byte(ref), leaks.Finding{Type: "ref"})
	}
	r := bufio.NewReader(objects)
	for {
		head, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) && head == "" {
			return report, nil
		} else if err != nil {
			return report, err
		}
		fields := strings.SplitN(strings.TrimSuffix(head, "\n"), " ", 4)
		if len(fields) < 3 {
			return report, fmt.Errorf("no object: %q", head)
		}
		n, err := strconv.Atoi(fields[2])
		if err != nil {
			return report, err
		}
		content := make([]byte, n+1)
		if _, err := io.ReadFull(r, content); err != nil {
			return report, err
		}
		report.Objects++
		report.Bytes += int64(n)
		f := leaks.Finding{Object: fields[0], Type: fields[1]}
		if len(fields) == 4 {
			f.Path = fields[3]
		}
		find(content[:n], f)
	}
}

// interposed lets a test do something around a git that speaks to the upstream.
type interposed struct {
	Upstream
	around atomic.Pointer[func(c upstream.Command, run func() error) error]
}

func (i *interposed) Run(ctx context.Context, r upstream.Repo, c upstream.Command) error {
	if f := i.around.Load(); f != nil {
		return (*f)(c, func() error { return i.Upstream.Run(ctx, r, c) })
	}
	return i.Upstream.Run(ctx, r, c)
}

// bench is a gate before a real upstream, with a real client.
type bench struct {
	t                    *testing.T
	gate                 *Gate
	url, upstream, clone string
	served               atomic.Pointer[served]
	up                   *interposed

	mu      sync.Mutex
	entries []Entry
}

func newBench(t *testing.T, push egress.Push) *bench {
	t.Helper()
	root := t.TempDir()
	b := &bench{t: t, upstream: filepath.Join(root, "up.git"), clone: filepath.Join(root, "clone")}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(root, "state")
	if err := os.MkdirAll(filepath.Join(state, "push-left/objects"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.gate, err = Open(Options{Dir: state, Self: self, Note: func(f string, a ...any) { t.Logf(f, a...) }, Log: func(e Entry) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.entries = append(b.entries, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.up = &interposed{Upstream: &direct{}}
	b.gate.upstream, b.gate.scan = b.up, searcher
	b.in(root, "init", "-q", "--bare", "-b", "main", b.upstream)
	b.in(root, "-C", b.upstream, "config", "receive.advertiseAtomic", "true")
	b.in(root, "init", "-q", "-b", "main", b.clone)
	b.write("README", "hello\n")
	b.write(".github/workflows/ci.yml", "on: push\n")
	b.commit("first")
	b.git("push", "-q", b.upstream, "main")
	push.Protect = append(push.Protect, egress.DefaultProtect...)
	b.gate.mu.Lock()
	m := b.gate.newMirror(upstream.Repo{URL: "ssh://git@upstream.test" + b.upstream})
	b.gate.mirrors[m.repo.URL] = m
	b.gate.mu.Unlock()
	b.served.Store(&served{remote: egress.Remote{Name: "origin", Push: push}, mirror: m, values: []string{"known-value-123"}, ctx: t.Context()})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.gate.remotes.Store(&map[string]*served{"origin": b.served.Load()})
		b.gate.serve(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = b.gate.Close() })
	b.url = server.URL + "/origin.git"
	b.git("remote", "add", "origin", b.url)
	b.git("fetch", "-q", "origin")
	t.Cleanup(b.nothingLeft)
	return b
}

func (b *bench) nothingLeft() {
	left, _ := filepath.Glob(filepath.Join(b.gate.o.Dir, "push-*"))
	if len(left) > 0 {
		b.t.Errorf("left behind: %q", left)
	}
	if len(b.gate.places) > 0 {
		b.t.Error("a place is still taken")
	}
	unlock, err := b.served.Load().mirror.lock(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	unlock()
}

func (b *bench) try(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = b.clone
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (b *bench) git(args ...string) string {
	b.t.Helper()
	out, err := b.try(args...)
	if err != nil {
		b.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

func (b *bench) in(dir string, args ...string) {
	b.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (b *bench) write(path, content string) {
	b.t.Helper()
	full := filepath.Join(b.clone, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) commit(message string) string {
	b.t.Helper()
	b.git("add", "-A")
	b.git("commit", "-q", "--allow-empty", "-m", message)
	return b.git("rev-parse", "HEAD")
}

// refs is what the upstream has.
func (b *bench) refs() string {
	b.t.Helper()
	return b.git("--git-dir", b.upstream, "for-each-ref", "--format=%(refname) %(objectname)")
}

func (b *bench) logged() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Entry(nil), b.entries...)
}

// accepted asserts that a push passes.
func (b *bench) accepted(args ...string) string {
	b.t.Helper()
	before := len(b.logged())
	out := b.git(append([]string{"push", "origin"}, args...)...)
	for _, e := range b.logged()[before:] {
		if e.Verdict != Accepted {
			b.t.Errorf("logged as %+v", e)
		}
	}
	if len(b.logged()) == before {
		b.t.Error("nothing was logged")
	}
	return out
}

// refused asserts that a push changes nothing and says why.
func (b *bench) refused(want string, args ...string) string {
	b.t.Helper()
	before, entries := b.refs(), len(b.logged())
	out, err := b.try(append([]string{"push", "origin"}, args...)...)
	if err == nil || !strings.Contains(out, want) {
		b.t.Errorf("push %q: %v, want %q:\n%s", args, err, want, out)
	}
	if b.refs() != before {
		b.t.Errorf("push %q changed the upstream:\n%s\nwas\n%s", args, b.refs(), before)
	}
	if len(b.logged()) == entries {
		b.t.Errorf("push %q: nothing was logged", args)
	}
	for _, e := range b.logged()[entries:] {
		if e.Verdict == Accepted || e.Reason == "" {
			b.t.Errorf("logged as %+v", e)
		}
		if strings.Contains(fmt.Sprintf("%+v", e), secret) {
			b.t.Errorf("a secret in the log: %+v", e)
		}
	}
	return out
}
