package leaks

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if code, handled := Child(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

const (
	base32Text = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	alnumText  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	hexText    = "0123456789abcdef"
)

// draw makes text at random, the same in each run: no secret is in this
// directory, not even an invented one.
func draw(seed uint64, n int, of string) string {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = of[r.IntN(len(of))]
	}
	return string(b)
}

// secrets that rules know.
func awsKey(seed uint64) string { return "AK" + "IA" + draw(seed, 16, base32Text) }
func forge(seed uint64) string  { return "gh" + "p_" + draw(seed, 36, alnumText) }
func canary(seed uint64) string { return "cnry-" + draw(seed, 32, alnumText) }
func slackBot(seed uint64) string {
	return "xo" + "xb-" + draw(seed, 12, "123456789") + "-" + draw(seed+1, 12, "123456789") + "-" + draw(seed+2, 24, alnumText)
}

func pemKey(seed uint64) string {
	var b strings.Builder
	b.WriteString("-----BEGIN " + "RSA PRIVATE KEY-----\n")
	for i := range uint64(12) {
		b.WriteString(draw(seed+i, 64, alnumText+"+/") + "\n")
	}
	b.WriteString("-----END " + "RSA PRIVATE KEY-----\n")
	return b.String()
}

// repo is a real repository.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	r := &repo{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	r.git("config", "user.name", "A")
	r.git("config", "user.email", "a@example.com")
	r.write("README.md", "hello\n")
	r.commit("start")
	r.git("update-ref", "refs/remotes/origin/main", "HEAD")
	return r
}

func (r *repo) git(args ...string) string { return r.input("", args...) }

func (r *repo) input(in string, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	cmd.Stdin = strings.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

func (r *repo) write(name, content string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repo) commit(message string, args ...string) {
	r.t.Helper()
	r.git("add", "-A", "-f")
	r.git(append([]string{"commit", "-q", "--allow-empty", "-m", message}, args...)...)
}

// objects is what git gives of all that is new.
func (r *repo) objects() []byte {
	r.t.Helper()
	list := r.git("rev-list", "--objects", "--all", "--not", "refs/remotes/origin/main")
	return []byte(r.input(list, "cat-file", "--batch="+BatchFormat))
}

// push searches all that is new in a child process.
func (r *repo) push(req Request) Report {
	r.t.Helper()
	return run(r.t, req, bytes.NewReader(r.objects()))
}

func run(t testing.TB, req Request, objects io.Reader) Report {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(context.Background(), self, req, objects)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// must is for writers to memory, which do not fail: what they return last is
// looked at all the same.
func must(results ...any) {
	if err, ok := results[len(results)-1].(error); ok {
		panic(err)
	}
}

// withoutDetector runs the test in a build of its own: the detector of races
// knows no limit of memory, and makes searching tens of times slower.
func withoutDetector(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^"+t.Name()+"$", ".").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v: %s", err, out)
	}
}
