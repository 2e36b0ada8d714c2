package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// home is one BB_HOME with bb to use it. Agents get unique names, so that
// whatever is left on the engine is found by name.
type home struct {
	t   testing.TB
	dir string
	id  string   // part of every name of this home
	env []string // added to the environment of bb
	// ownEngine means that bb now talks to an engine that ends with the test.
	ownEngine bool
	// at is where bb runs; nil is where this test does.
	at interface{ start(*exec.Cmd) error }
}

// start starts what command prepared.
func (h *home) start(cmd *exec.Cmd) error {
	if h.at != nil {
		return h.at.start(cmd)
	}
	return cmd.Start()
}

func newHome(t testing.TB) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir(), id: random(4)}
	for _, d := range []string{"bottles", "agents"} {
		if err := os.MkdirAll(filepath.Join(h.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(h.leaveNothing)
	return h
}

// shellHome has two agents in bottles that need no outside.
func shellHome(t testing.TB) (h *home, agents []string) {
	t.Helper()
	h = newHome(t)
	h.bottle("closed", "agent_provider: {template: shell}")
	return h, []string{h.agent("one", "closed", ""), h.agent("two", "closed", "")}
}

// leaveNothing destroys what the test made, and holds destroy to it.
func (h *home) leaveNothing() {
	if h.ownEngine {
		return
	}
	rememberShared(h.t, h.id)
	if r := h.run("destroy", "-y"); r.code != 0 {
		h.t.Errorf("destroy at the end: %s", r)
	}
	if left := resources(h.t, h.id); len(left) > 0 {
		h.t.Errorf("left over after destroy: %v", left)
	}
}

// agent writes an agent and returns its name, which no other test has.
func (h *home) agent(role, bottle, prompt string) string {
	h.t.Helper()
	name := role + "-" + h.id
	h.write("agents/"+name+".md", "---\nbottle: "+bottle+"\n---\n"+prompt+"\n")
	return name
}

// bottle writes a bottle's frontmatter.
func (h *home) bottle(name, frontmatter string) {
	h.t.Helper()
	h.write("bottles/"+name+".md", "---\n"+strings.TrimSpace(frontmatter)+"\n---\n")
}

func (h *home) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, path), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// result is what one bb said.
type result struct {
	args           []string
	code           int
	stdout, stderr string
	peak           int64         // bytes of memory
	cpu            time.Duration // of bb itself
}

func (r result) String() string {
	return "bb " + strings.Join(r.args, " ") + ": exit " + strconv.Itoa(r.code) + "\n" + r.all()
}

func (r result) all() string { return r.stdout + r.stderr }

// says fails the test unless every text occurs in the output.
func (r result) says(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.all(), text) {
			t.Errorf("does not say %q: %s", text, r)
		}
	}
}

// command prepares a bb of this home. It is not inherited from the caller's
// environment where bottles run or which manifests are meant.
func (h *home) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, bbBinary, args...)
	cmd.Dir = h.dir
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "BB_HOME=") && !strings.HasPrefix(e, "BB_BACKEND=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "BB_HOME="+h.dir, "BB_SIDECAR_BINARY="+sidecarBinary, "NO_COLOR=1")
	cmd.Env = append(cmd.Env, h.env...)
	return cmd
}

func (h *home) run(args ...string) result { return h.runWith("", args...) }

func (h *home) runWith(stdin string, args ...string) result {
	h.t.Helper()
	// The first build of an image fetches packages.
	ctx, cancel := context.WithTimeout(context.Background(), 12*time.Minute)
	defer cancel()
	cmd := h.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := h.start(cmd)
	if err != nil {
		h.t.Fatal(err)
	}
	err = cmd.Wait()
	r := result{args: args, code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
	r.peak, r.cpu = peakOf(cmd.ProcessState.SysUsage()), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("%v: %s", err, r)
	}
	return r
}

// must is run that has to succeed.
func (h *home) must(args ...string) result {
	h.t.Helper()
	r := h.run(args...)
	if r.code != 0 {
		h.t.Fatal(r)
	}
	return r
}

// fails is run that has to end with exit code 1 and one clear error.
func (h *home) fails(args ...string) result {
	h.t.Helper()
	r := h.run(args...)
	if r.code != 1 {
		h.t.Fatalf("want exit 1: %s", r)
	}
	if strings.Contains(r.all(), "goroutine ") {
		h.t.Errorf("a crash is no error message: %s", r)
	}
	return r
}

// settled asserts that nothing is left to do.
func (h *home) settled() {
	h.t.Helper()
	r := h.must("plan", "--detailed-exitcode")
	r.says(h.t, "No changes.")
}

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return "x" + hex.EncodeToString(b)
}
