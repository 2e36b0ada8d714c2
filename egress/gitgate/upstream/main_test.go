package upstream

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/gittest"
)

func TestMain(m *testing.M) {
	if code, handled := Child(os.Args); handled {
		os.Exit(code)
	}
	// Most tests wait for an upstream that says nothing.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// access is one whose directory is short enough for a socket.
func access(t *testing.T) *Access {
	t.Helper()
	dir, err := os.MkdirTemp("", "bb-run") //nolint:usetesting // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, _ := os.ReadDir(dir)
		for _, e := range left {
			t.Errorf("a run left %s", e.Name())
		}
		_ = os.RemoveAll(dir)
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Access{RunDir: dir, Self: self}
}

// mirror is an empty bare repository.
func mirror(t *testing.T) gittest.Repo {
	t.Helper()
	return gittest.NewRepo(t, t.TempDir(), "mirror")
}

// run runs git on a mirror and returns what it printed.
func run(t *testing.T, a *Access, r Repo, dir string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := a.Run(t.Context(), r, Command{GitDir: dir, Args: args, Stdout: &out})
	return out.String(), err
}

// fails asserts a failure of a kind, within 15 seconds, as one clean line.
func fails(t *testing.T, kind Kind, text string, f func() error) (said []string) {
	t.Helper()
	began := time.Now()
	err := f()
	took := time.Since(began)
	var failure *Failure
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want a failure", err)
	}
	if failure.Kind != kind || !strings.Contains(failure.Text, text) {
		t.Errorf("got %s %q, want %s %q; said %q", failure.Kind, failure.Text, kind, text, failure.Said)
	}
	if took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, line := range append(failure.Said, failure.Text) {
		if line != clean(line) {
			t.Errorf("a line is not clean: %q", line)
		}
	}
	t.Logf("%s after %s: %s", failure.Kind, took.Round(10*time.Millisecond), failure.Text)
	return failure.Said
}

func sshRepo(s *gittest.SSH, name string) Repo {
	return Repo{URL: s.URL(name), HostKey: s.HostKey, Credential: s.Key}
}

func httpsRepo(s *gittest.HTTPS, name string) Repo {
	return Repo{URL: s.URL(name), Credential: s.User + ":" + s.Token, Roots: s.Roots}
}

// works asserts fetch, push and ls-remote.
func works(t *testing.T, a *Access, r Repo, up gittest.Repo) {
	t.Helper()
	first := up.Commit(t, "main", "first", map[string]string{"a.txt": "a\n"})
	m := mirror(t)
	if out, err := run(t, a, r, m.Dir, "fetch", "--progress", "--prune", r.URL, "+refs/*:refs/*"); err != nil {
		t.Fatal(err, out)
	}
	if got := m.Refs(t)["refs/heads/main"]; got != first {
		t.Fatalf("fetched %q, want %s", got, first)
	}
	second := m.Commit(t, "agent/one", "second", map[string]string{"b.txt": "b\n"})
	if out, err := run(t, a, r, m.Dir, "push", "--progress", "--porcelain", "--atomic", "--force-with-lease=refs/heads/agent/one:",
		r.URL, second+":refs/heads/agent/one"); err != nil {
		t.Fatal(err, out)
	}
	if got := up.Refs(t)["refs/heads/agent/one"]; got != second {
		t.Errorf("the upstream has %q, want %s", got, second)
	}
	out, err := run(t, a, r, m.Dir, "ls-remote", "--symref", r.URL)
	if err != nil || !strings.Contains(out, "ref: refs/heads/main\tHEAD") || !strings.Contains(out, second) {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(m.Dir, "FETCH_HEAD")); err != nil {
		t.Error(err)
	}
}
