package dash

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Manifests are broken at the start, mended and broken again while it looks, and
// the last error is told again when it is closed.
func TestManifestsBreakWhileItLooks(t *testing.T) {
	h := newHome(t)
	const sound = "---\nagent_provider: {template: shell}\nsupervise: true\n---\n"
	h.put("bottles/dev.md", "---\nno_such_key: 1\n---\n")
	tm := h.dashboard(80, 24)
	if got := tm.shows("! bottles/dev.md:2:1: "); !strings.Contains(got, "running") {
		t.Errorf("a mistake hides what runs:\n%s", got)
	}
	tm.types("s")
	tm.shows("coder is blocked: its manifest does not compile")
	h.put("bottles/dev.md", sound)
	tm.hides("! bottles")
	tm.types("j", "s")
	tm.shows("create reviewer?")
	tm.types("y")
	tm.shows("2 of 3 run")
	if _, err := h.desk().Add(egress.Proposal{Kind: egress.ProposeRoute, Route: &egress.Route{Host: "waits.example.com", Port: 443, Source: "approved"}}); err != nil {
		t.Fatal(err)
	}
	tm.shows("waits.example")
	h.put("bottles/dev.md", "---\nno_such_key: 1\n---\n")
	if got := tm.shows("! bottles/dev.md"); !strings.Contains(got, "apply reviewer: Applied") || !strings.Contains(got, "waits.example") {
		t.Errorf("a mistake hides what a command said, or what is asked:\n%s", got)
	}
	time.Sleep(3 * time.Second) // the next look knows no more
	if got := tm.frame(); !strings.Contains(got, "waits.example") || strings.Count(got, "running") != 2 {
		t.Errorf("what is asked goes away:\n%s", got)
	}
	h.put("bottles/dev.md", sound)
	tm.hides("! bottles")
	tm.tmux("resize-window", "-x", "60", "-y", "16")
	if got := tm.shows("2 of 3 run"); !strings.Contains(got, "\nq quit  ? keys") {
		t.Errorf("%s", got)
	}
	tm.types("q")
	tm.shows("no_such_key")
	tm.usable()
}

// Any goroutine of the real bb may panic: the terminal is as it was, and the log
// is where the documents say. Only the program of this test can be told to.
func TestCrashOfTheRealOne(t *testing.T) {
	h := newHome(t)
	dir := t.TempDir()
	source, err := filepath.Abs("../../../../engine/parallel/parallel.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	trigger, changed := filepath.Join(dir, "panic"), filepath.Join(dir, "parallel.go")
	breaks := strings.Replace(string(text), "errs[i] = f()", `if _, err := os.Stat("`+trigger+`"); err == nil {
				panic("forced")
			}
			errs[i] = f()`, 1)
	breaks = strings.Replace(breaks, `import "sync"`, "import (\n\"os\"\n\"sync\"\n)", 1)
	write(t, changed, breaks)
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "overlay.json"), string(overlay))
	h.bb = filepath.Join(dir, "bb")
	if err := build(h.bb, "-overlay", filepath.Join(dir, "overlay.json")); err != nil {
		t.Fatal(err)
	}
	tm := h.dashboard(80, 24)
	tm.shows("1 of 3 run")
	write(t, trigger, "")
	if got := tm.shows("ended-2"); !strings.Contains(got, "bb: the dashboard crashed: forced; ") || strings.Contains(got, "goroutine ") {
		t.Errorf("it says\n%s", got)
	}
	tm.usable()
	b, err := os.ReadFile(filepath.Join(h.dir, "logs", "dashboard-crash.log"))
	if err != nil || !strings.Contains(string(b), "engine/parallel.Run") {
		t.Errorf("%s, %v", b, err)
	}
}

// A bottle of the home directory and one of a repository have one name: both are
// listed, and a key is about the one that is marked.
func TestOneNameTwiceByKey(t *testing.T) {
	h := newHome(t)
	repo := t.TempDir()
	write(t, filepath.Join(repo, ".bot-bottle", "agents", "coder.md"), "---\nbottle: dev\n---\n")
	tm := newTerminal(t, 80, 24, h.env()...)
	tm.types("cd "+repo+" && "+h.bb+" dashboard; echo ended-$((1+1))", "Enter")
	tm.shows("not allowed")
	tm.types("s") // it is read first, as a whole
	tm.shows("Let this agent use this bottle?")
	tm.types("y", "Enter")
	tm.shows("allow coder: done")
	tm.shows("not there")
	tm.types("s")
	tm.shows("create coder?")
	tm.types("y")
	tm.shows("apply coder: Applied: 1 created")
	tm.shows("2 of ")
	if got := tm.shows("home/coder "); !strings.Contains(got, "> coder ") || strings.Count(got, "running") != 2 {
		t.Errorf("%s", got)
	}
	tm.types("j", "x")
	tm.shows("stop home/coder?")
	tm.types("y")
	tm.shows("stop home/coder: Applied")
	tm.types("q")
	tm.shows("ended-2")
	tm.usable()
	for line := range strings.Lines(h.run("ps", "-a")) {
		if stopped := strings.Contains(line, "stopped"); strings.HasPrefix(line, "coder ") && stopped == strings.Contains(line, repo) {
			t.Errorf("the wrong one was stopped: %s", line)
		}
	}
}
