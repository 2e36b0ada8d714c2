package dash

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/supervise"
	"github.com/bot-bottle/bb/egress/supervise/supervisetest"
)

// The test binary plays a dashboard over a world of its own, in a real terminal.
func TestMain(m *testing.M) {
	if os.Getenv("DASH_TEST_QUIET") != "" {
		fmt.Println("quiet")
		return
	}
	if dir := os.Getenv("DASH_TEST_HOME"); dir != "" {
		said, err := Run(context.Background(), Options{
			Source: &breaking{world: fleet()}, In: os.Stdin, Out: os.Stdout, Crash: filepath.Join(dir, "logs", "crash.log"),
			now: func() time.Time { return noon },
		})
		fmt.Println("said", said)
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// breaking panics at its second look, if it is told to.
type breaking struct {
	*world
	looks atomic.Int32
}

func (b *breaking) Look(ctx context.Context) (Snapshot, error) {
	if b.looks.Add(1) > 1 && os.Getenv("DASH_TEST_PANIC") != "" {
		panic("a forced \x1b[31mpanic")
	}
	return b.world.Look(ctx)
}

// terminal is a shell in tmux.
type terminal struct {
	t      *testing.T
	socket string
}

func newTerminal(t *testing.T, env ...string) *terminal {
	t.Helper()
	if out, err := exec.Command("../../../../hack/tmux").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("hack/tmux: %v\n%s", err, out)
		}
		t.Skipf("no tmux: NOT RUN\n%s", out)
	}
	tm := &terminal{t, filepath.Join(t.TempDir(), "tmux")}
	args := []string{"-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24"}
	for _, e := range append(env, "PS1=ready> ", "TERM=screen") {
		args = append(args, "-e", e)
	}
	tm.tmux(append(args, "sh")...)
	t.Cleanup(func() { tm.tmux("kill-server") })
	return tm
}

func (tm *terminal) tmux(args ...string) string {
	tm.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", tm.socket}, args...)...).CombinedOutput()
	if err != nil {
		tm.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (tm *terminal) types(keys ...string) {
	tm.t.Helper()
	tm.tmux(append([]string{"send-keys"}, keys...)...)
}

func (tm *terminal) shows(text string) string {
	tm.t.Helper()
	var got string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = tm.tmux("capture-pane", "-p"); strings.Contains(got, text) {
			return got
		}
	}
	tm.t.Fatalf("the terminal never shows %q but:\n%s", text, got)
	return ""
}

// hides waits until the screen does not show text any more.
func (tm *terminal) hides(text string) {
	tm.t.Helper()
	for end := time.Now().Add(20 * time.Second); strings.Contains(tm.tmux("capture-pane", "-p"), text); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			tm.t.Fatalf("%q stays on the screen", text)
		}
	}
}

// usable asserts that the shell is back, with its echo and its cursor.
func (tm *terminal) usable() {
	tm.t.Helper()
	tm.types("clear; stty -a | grep -c ' echo '; echo 4$((1+1))", "Enter")
	if got := tm.shows("42"); !strings.Contains(got, "1\n42") {
		tm.t.Errorf("the terminal is not as before:\n%s", got)
	}
	if got := strings.TrimSpace(tm.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}")); got != "0 1" {
		tm.t.Errorf("alternate screen and cursor: %s", got)
	}
}

func TestInATerminal(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tm := newTerminal(t, "DASH_TEST_HOME="+t.TempDir())
	tm.types(self, "Enter")
	first := tm.shows("coder_2")
	want, err := os.ReadFile("testdata/80x24.txt")
	if err != nil {
		t.Fatal(err)
	}
	if trimmed(first) != trimmed(string(want)) {
		t.Errorf("in a terminal it is\n%s\nnot\n%s", first, want)
	}
	tm.types("p")
	tm.shows("1 to create")
	tm.types("Tab")
	tm.shows("denied")
	tm.types("y")
	tm.shows("approve p1 of coder?")
	tm.types("y")
	tm.shows("--digest d1")
	tm.types("q")
	tm.shows("said []")
	tm.usable()
}

// trimmed is a frame without the blanks at ends of lines.
func trimmed(frame string) string {
	var out []string
	for _, l := range strings.Split(strings.TrimRight(frame, "\n "), "\n") {
		out = append(out, strings.TrimRight(l, " "))
	}
	return strings.Join(out, "\n")
}

func TestCrashLeavesATerminal(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	tm := newTerminal(t, "DASH_TEST_HOME="+home, "DASH_TEST_PANIC=1")
	tm.types(self, "Enter")
	tm.shows("coder_2")
	got := tm.shows("error: the dashboard crashed: a forced")
	if strings.Contains(got, "goroutine") {
		t.Errorf("a stack trace:\n%s", got)
	}
	tm.usable()
	b, err := os.ReadFile(filepath.Join(home, "logs", "crash.log"))
	if err != nil || !strings.Contains(string(b), "a forced") || !strings.Contains(string(b), "goroutine") {
		t.Errorf("%s, %v", b, err)
	}
	if info, err := os.Stat(filepath.Join(home, "logs", "crash.log")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// program builds the real bb.
func program(t *testing.T, dir string) string {
	t.Helper()
	bb := filepath.Join(dir, "bb")
	build := exec.Command("go", "build", "-o", bb, "github.com/bot-bottle/bb/cmd/bb")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bb
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The real bb: a question appears while it looks, and disappears; another is
// answered with a key, for the agent, the record and the plan.
func TestAnswersInATerminal(t *testing.T) {
	dir := t.TempDir()
	bb, home := program(t, dir), filepath.Join(dir, "home")
	write(t, filepath.Join(home, "bottles", "dev.md"), "---\nagent_provider: {template: shell}\nsupervise: true\n---\n")
	write(t, filepath.Join(home, "agents", "coder.md"), "---\nbottle: dev\n---\n")
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(bb, args...)
		cmd.Env = append(os.Environ(), "BB_HOME="+home, "BB_BACKEND=fake")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("bb %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	run("apply", "-y")
	desk, err := supervisetest.Open(filepath.Join(dir, "desk"))
	if err != nil {
		t.Fatal(err)
	}
	defer desk.Close()
	world := filepath.Join(home, "state", "fake.json")
	b, err := os.ReadFile(world)
	if err != nil {
		t.Fatal(err)
	}
	lent := strings.Replace(string(b), `"document":`, `"control": "`+filepath.Join(dir, "desk")+`", "document":`, 1)
	write(t, world, lent)

	tm := newTerminal(t, "BB_HOME="+home, "BB_BACKEND=fake")
	tm.types(bb+" dashboard; echo ended-$((1+1))", "Enter")
	tm.shows("1 of 1 run")
	ask := func(host string) *supervise.Item {
		item, err := desk.Add(egress.Proposal{
			Kind: egress.ProposeRoute, Reason: "to \x1b[2Jbuild\u202e it\nq",
			Route: &egress.Route{Host: host, Port: 443, Source: "approved"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return item
	}
	first := ask("comes.example.com")
	if got := tm.shows("comes.example.com"); !strings.Contains(got, "1 asked") || !strings.Contains(got, "new host") {
		t.Errorf("it is not told whole:\n%s", got)
	}
	desk.Withdraw(first, supervise.ErrExpired)
	tm.hides("comes.example.com")
	second := ask("stays.example.com")
	tm.shows("stays.example.com")
	tm.types("y")
	tm.shows("approve ")
	tm.types("y")
	tm.shows("Approved.")
	answer, ok, err := desk.Wait(t.Context(), second, 10*time.Second)
	if err != nil || !ok || answer.Verdict != egress.Approved {
		t.Errorf("the agent hears %+v, %v, %v", answer, ok, err)
	}
	tm.types("q")
	tm.shows("ended-2")
	tm.usable()
	plan, audit := run("plan"), run("audit", "coder")
	for _, said := range []string{plan, audit} {
		if !strings.Contains(said, "stays.example.com") || !strings.Contains(said, "approved ") {
			t.Errorf("it is known as\n%s", said)
		}
	}
	// What nobody answered is in force nowhere, and is on the record as asked.
	if strings.Contains(plan, "comes.example.com") || strings.Count(audit, "comes.example.com") != 1 || !strings.Contains(audit, "asked ") {
		t.Errorf("what was withdrawn is known as\n%s%s", plan, audit)
	}
}

// The real bb, over the in-memory backend: manifests break and are mended while
// it looks, and the last error is told again when it is closed.
func TestManifestsBreakWhileItLooks(t *testing.T) {
	dir := t.TempDir()
	bb := program(t, dir)
	put := func(path, text string) { write(t, filepath.Join(dir, "home", path), text) }
	put("bottles/dev.md", "---\nno_such_key: 1\n---\n")
	put("agents/coder.md", "---\nbottle: dev\n---\n")
	tm := newTerminal(t, "BB_HOME="+filepath.Join(dir, "home"), "BB_BACKEND=fake")
	tm.types(bb+" dashboard", "Enter")
	tm.shows("! bottles/dev.md:2:1: ") // a broken one at the start
	tm.shows("no bottles")
	put("bottles/dev.md", "---\nagent_provider: {template: shell}\n---\n")
	tm.shows("not there")
	tm.types("s")
	tm.shows("apply coder?")
	tm.types("y")
	tm.shows("1 of 1 run")
	put("bottles/dev.md", "---\nno_such_key: 1\n---\n")
	if got := tm.shows("! "); !strings.Contains(got, "running") {
		t.Errorf("a mistake hides what runs:\n%s", got)
	}
	put("bottles/dev.md", "---\nagent_provider: {template: shell}\n---\n")
	tm.hides("! ")
	tm.tmux("resize-window", "-x", "60", "-y", "16")
	tm.shows("1 of 1 run")
	tm.types("q")
	tm.shows("no_such_key")
	tm.usable()
}
