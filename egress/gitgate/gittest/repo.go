package gittest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// Repo is a bare repository of a server.
type Repo struct{ Dir string }

// NewRepo makes an empty bare repository ROOT/NAME.git whose HEAD names main.
func NewRepo(t testing.TB, root, name string) Repo {
	t.Helper()
	r := Repo{filepath.Join(root, name+".git")}
	check(t, os.MkdirAll(r.Dir, 0o755))
	r.Git(t, "init", "-q", "--bare", "-b", "main", ".")
	for _, set := range []string{"uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant", "http.receivepack"} {
		r.Git(t, "config", set, "true")
	}
	return r
}

// Environ is an environment for git that no setting of the machine reaches.
func Environ() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com",
	}
}

// Git runs git in the repository and returns what it printed, trimmed.
func (r Repo) Git(t testing.TB, args ...string) string {
	t.Helper()
	out, err := r.git(nil, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (r Repo) git(stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = r.Dir, Environ(), bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Commit adds a commit with these files to a branch, past every gate, and
// returns its id: an out-of-band push. The branch is made when there is none.
func (r Repo) Commit(t testing.TB, branch, message string, files map[string]string) string {
	t.Helper()
	ref := "refs/heads/" + branch
	var in bytes.Buffer
	fmt.Fprintf(&in, "commit %s\ncommitter A <a@example.com> now\ndata %d\n%s\n", ref, len(message), message)
	if _, err := r.git(nil, "rev-parse", "-q", "--verify", ref); err == nil {
		fmt.Fprintf(&in, "from %s^0\n", ref)
	}
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	for _, path := range paths {
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(files[path]), files[path])
	}
	if out, err := r.git(in.Bytes(), "fast-import", "--quiet", "--date-format=now"); err != nil {
		t.Fatalf("fast-import: %v\n%s", err, out)
	}
	return r.Git(t, "rev-parse", ref)
}

// Refs are all refs and their values.
func (r Repo) Refs(t testing.TB) map[string]string {
	t.Helper()
	refs := map[string]string{}
	for line := range strings.Lines(r.Git(t, "for-each-ref", "--format=%(refname) %(objectname)")) {
		if name, id, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			refs[name] = id
		}
	}
	return refs
}

// Hook puts a script of sh into the place of a hook.
func (r Repo) Hook(t testing.TB, name, script string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Join(r.Dir, "hooks"), 0o755))
	write(t, filepath.Join(r.Dir, "hooks", name), "#!/bin/sh\n"+script, 0o755)
}
