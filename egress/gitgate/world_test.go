package gitgate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/child"
	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

// direct is an upstream without a network: git runs on the file path that the
// URL holds. Nothing else differs from what upstream.Access does.
type direct struct {
	runs  atomic.Int32 // of ls-remote
	fetch atomic.Int32
	delay atomic.Int64 // before each run, a time.Duration

	mu   sync.Mutex
	down error
}

func (d *direct) setDown(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
}

func pathOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u.Path
}

func (d *direct) Run(ctx context.Context, r upstream.Repo, c upstream.Command) error {
	switch c.Args[0] {
	case "ls-remote":
		d.runs.Add(1)
	case "fetch":
		d.fetch.Add(1)
	}
	d.mu.Lock()
	down := d.down
	d.mu.Unlock()
	if down != nil {
		return down
	}
	select {
	case <-time.After(time.Duration(d.delay.Load())):
	case <-ctx.Done():
		return ctx.Err()
	}
	args := slices.Clone(c.Args)
	for i := range args {
		if args[i] == r.URL {
			args[i] = pathOf(r.URL)
		}
	}
	git, err := child.Find("git")
	if err != nil {
		return err
	}
	var said bytes.Buffer
	err = child.Run(ctx, child.Options{
		Path: git, Args: args, Dir: c.GitDir, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: &said,
		Env: append(append(slices.Clone(baseEnv), "GIT_ALLOW_PROTOCOL=file", "GIT_DIR="+c.GitDir), c.Env...),
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := &upstream.Failure{Kind: upstream.Other, Text: line(said.String())}
	for l := range strings.Lines(said.String()) {
		if words, ok := strings.CutPrefix(strings.TrimSpace(l), "remote: "); ok {
			f.Said = append(f.Said, words)
			if c.Said != nil {
				c.Said(words)
			}
		}
	}
	switch {
	case err == nil:
		return nil
	case strings.Contains(said.String(), "does not appear to be a git repository"):
		f.Kind, f.Text = upstream.Missing, "upstream.test has no such repository"
	case strings.Contains(said.String(), "failed to push some refs"):
		f.Kind, f.Text = upstream.Rejected, "the upstream rejected it"
	case strings.Contains(said.String(), "does not support --atomic"):
		f.Kind = upstream.Atomic
	}
	return f
}

// world is a gate before upstreams, and a client in a directory of its own.
type world struct {
	t    testing.TB
	dir  string
	gate *Gate
	up   *direct
	addr string
	doc  egress.Document

	mu    sync.Mutex
	notes []string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), up: &direct{}}
	w.open()
	t.Cleanup(func() {
		if err := w.gate.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Log(strings.Join(w.notes, "\n"))
		}
	})
	return w
}

// open opens the gate, and a listener for it.
func (w *world) open() {
	w.t.Helper()
	gate, err := Open(Options{
		Dir: filepath.Join(w.dir, "gate"), RunDir: w.dir, Upstream: w.up,
		Note: func(format string, args ...any) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.notes = append(w.notes, fmt.Sprintf(format, args...))
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.gate, w.addr = gate, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go gate.ServeConn(c)
		}
	}()
	w.t.Cleanup(func() { _ = l.Close() })
}

// remote declares an upstream, made with one commit, under a name.
func (w *world) remote(name string) (bare string) {
	w.t.Helper()
	bare = filepath.Join(w.dir, "up", name+".git")
	w.git(w.dir, "init", "-q", "--bare", "-b", "main", bare)
	w.commit(bare, "main", "README", "hello\n")
	w.declare(name, bare)
	w.swap()
	return bare
}

// worldKey is a host key in form; nobody has it.
const worldKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

func (w *world) declare(name, bare string) {
	slot := fmt.Sprintf("%s%d", egress.SlotGit, len(w.doc.Remotes))
	if w.doc.Tokens == nil {
		w.doc.Tokens = map[string]egress.Token{}
	}
	w.doc.Tokens[slot] = egress.Token{Value: "credential-of-" + name}
	w.doc.Remotes = append(w.doc.Remotes, egress.Remote{
		Name: name, Upstream: "ssh://git@upstream.test" + bare, HostKey: worldKey, Slot: slot,
	})
}

func (w *world) swap() {
	w.t.Helper()
	if err := w.gate.Swap(w.doc); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) url(name string) string { return "http://" + w.addr + "/" + name }

// commit adds a commit with one file to a branch of a bare repository.
func (w *world) commit(bare, branch, file, content string) string {
	w.t.Helper()
	blob := w.gitIn(content, bare, "hash-object", "-w", "--stdin")
	tree := w.gitIn(fmt.Sprintf("100644 blob %s\t%s\n", blob, file), bare, "mktree")
	args := []string{"commit-tree", "-m", "add " + file, tree}
	if parent, err := w.try(bare, "rev-parse", "-q", "--verify", "refs/heads/"+branch); err == nil {
		args = append(args, "-p", parent)
	}
	commit := w.git(bare, args...)
	w.git(bare, "update-ref", "refs/heads/"+branch, commit)
	return commit
}

// client is git as the agent runs it.
func (w *world) client(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + child.Path, "HOME=" + w.dir, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	return cmd
}

func (w *world) run(stdin, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := w.client(ctx, dir, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func (w *world) try(dir string, args ...string) (string, error) { return w.run("", dir, args...) }

func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	return w.gitIn("", dir, args...)
}

func (w *world) gitIn(stdin, dir string, args ...string) string {
	w.t.Helper()
	out, err := w.run(stdin, dir, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// fails runs git as the agent, to fail with a text.
func (w *world) fails(want, dir string, args ...string) {
	w.t.Helper()
	_, err := w.try(dir, args...)
	if err == nil {
		w.t.Fatalf("git %s succeeds", strings.Join(args, " "))
	}
	if !strings.Contains(err.Error(), want) {
		w.t.Errorf("git %s: want %q in: %v", strings.Join(args, " "), want, err)
	}
}

// clone clones a remote into a new directory.
func (w *world) clone(name string, args ...string) string {
	w.t.Helper()
	to, err := os.MkdirTemp(w.dir, "clone-")
	if err != nil {
		w.t.Fatal(err)
	}
	w.git(w.dir, append(append([]string{"clone", "-q"}, args...), w.url(name+".git"), to)...)
	return to
}
