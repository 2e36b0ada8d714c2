package dash

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/supervise"
	"github.com/bot-bottle/bb/egress/supervise/supervisetest"
)

// home is a home of the real bb, over the in-memory backend.
type home struct {
	t       *testing.T
	bb, dir string
}

var usedBB bool

// newHome has an agent coder that runs, one that does not, and one without
// replicas.
func newHome(t *testing.T) *home {
	t.Helper()
	usedBB = true
	at, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "bb-") //nolint:usetesting // t.TempDir is long, and this name is in goldens
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &home{t, filepath.Join(at, "bb"), filepath.Join(dir, "home")}
	h.put("bottles/dev.md", "---\nagent_provider: {template: shell}\nsupervise: true\n---\n")
	h.put("agents/coder.md", "---\nbottle: dev\n---\n")
	h.put("agents/reviewer.md", "---\nbottle: dev\n---\n")
	h.put("agents/sessions.md", "---\nbottle: dev\nreplicas: 0\n---\n")
	h.run("apply", "-y", "coder")
	h.desk()
	return h
}

func (h *home) put(path, text string) { write(h.t, filepath.Join(h.dir, path), text) }

func (h *home) env() []string { return []string{"BB_HOME=" + h.dir, "BB_BACKEND=fake"} }

func (h *home) run(args ...string) string {
	h.t.Helper()
	cmd := exec.Command(h.bb, args...)
	cmd.Env = append(os.Environ(), h.env()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("bb %v: %v: %s", args, err, out)
	}
	return string(out)
}

// world changes what the in-memory backend has of all containers whose name ends
// so: "_s" are sidecars.
func (h *home) world(suffix string, change func(map[string]any)) {
	h.t.Helper()
	path := filepath.Join(h.dir, "state", "fake.json")
	b, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	var world map[string]any
	if err := json.Unmarshal(b, &world); err != nil {
		h.t.Fatal(err)
	}
	for name, c := range world["containers"].(map[string]any) {
		if strings.HasSuffix(name, suffix) {
			change(c.(map[string]any))
		}
	}
	if b, err = json.Marshal(world); err != nil {
		h.t.Fatal(err)
	}
	write(h.t, path, string(b))
}

// desk is a queue of questions behind the sidecars that there are.
func (h *home) desk() *supervisetest.Desk {
	h.t.Helper()
	socket := filepath.Join(h.t.TempDir(), "desk")
	desk, err := supervisetest.Open(socket)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = desk.Close() })
	h.world("_s", func(c map[string]any) { c["control"] = socket })
	return desk
}

func (h *home) dashboard(width, height int, args ...string) *terminal {
	h.t.Helper()
	tm := newTerminal(h.t, width, height, h.env()...)
	tm.types(strings.Join(append([]string{h.bb, "dashboard"}, args...), " ")+"; echo ended-$((1+1))", "Enter")
	return tm
}

var clock, tempDir = regexp.MustCompile(`\d\d:\d\d:\d\d$`), regexp.MustCompile(`/tmp/bb-\d+`)

// still is a frame whose head has no clock, and whose home is always the same.
func still(frame string) string {
	head, rest, _ := strings.Cut(frame, "\n")
	return clock.ReplaceAllString(head, "12:00:00") + "\n" + tempDir.ReplaceAllString(rest, "/tmp/bb-1") + "\n"
}

const denied = `{"time":"2026-01-02T03:04:06Z","host":"api.example.com","port":443,"method":"DELETE","path":"/v1/x","verdict":"denied","reason":"no route allows api.example.com","status":403,"ms":0.2}`

// The real bb, driven by keys at two sizes: start, stop, attach, explain.
func TestBottlesByKey(t *testing.T) {
	for _, size := range []struct {
		name          string
		width, height int
	}{{"80x24", 80, 24}, {"120x40", 120, 40}} {
		t.Run(size.name, func(t *testing.T) {
			h := newHome(t)
			h.world("_s", func(c map[string]any) { c["access"] = []json.RawMessage{json.RawMessage(denied)} })
			tm := h.dashboard(size.width, size.height)
			tm.shows("DELETE https://api.example.com/v1/x")
			golden(t, "driven "+size.name, still(tm.frame()))
			tm.types("j", "s")
			tm.shows("create reviewer?")
			golden(t, "driven start "+size.name, still(tm.frame()))
			tm.types("y")
			tm.shows("apply reviewer: Applied: 1 created")
			tm.shows("2 of 3 run")
			tm.types("s")
			tm.shows("nothing to do: reviewer is as its manifest says")
			tm.types("x")
			tm.shows("stop reviewer?")
			tm.types("y")
			tm.shows("stop reviewer: Applied: ")
			tm.shows("1 of 3 run")
			tm.types("g", "a")
			tm.shows("attach coder: done")
			h.world("", func(c map[string]any) { c["attached"] = []string{"main"} })
			tm.types("a")
			tm.shows("! attach coder: coder is attached already (bb attach --new coder starts a ")
			tm.types("Tab", "Tab", "e")
			tm.shows("== explain coder")
			golden(t, "driven explain "+size.name, still(tm.frame()))
			tm.types("Escape")
			tm.hides("== explain")
			tm.types("q")
			if got := tm.shows("ended-2"); !strings.Contains(got, "bb: attach coder: coder is attached already") {
				t.Errorf("it does not say again what failed:\n%s", got)
			}
			tm.usable()
		})
	}
}

// What costs a disk is named, and asked about by bb itself on the terminal.
func TestReplacementByKey(t *testing.T) {
	h := newHome(t)
	tm := h.dashboard(80, 24)
	tm.shows("1 of 3 run")
	h.put("bottles/dev.md", "---\nagent_provider: {template: shell}\nsupervise: true\nenv: {A: b}\n---\n")
	tm.shows("plan: 2 to change")
	tm.types("s")
	tm.shows("bb apply coder replaces coder: its disk goes. Go on in the terminal?")
	tm.types("y")
	tm.shows("Apply these changes? [y/N]")
	tm.types("n", "Enter")
	tm.shows("enter goes back to the screen")
	tm.types("Enter")
	tm.shows("! apply coder: ")
	tm.types("q")
	tm.shows("ended-2")
	tm.usable()
	if got := h.run("plan"); !strings.Contains(got, "1 to replace") {
		t.Errorf("it was replaced:\n%s", got)
	}
}

// A question appears while it looks, and disappears; another is read and answered
// with a key, for the agent, the record and the plan. A manifest of another agent
// that breaks meanwhile hides none.
func TestAnswersByKey(t *testing.T) {
	h := newHome(t)
	desk := h.desk()
	tm := h.dashboard(80, 24)
	tm.shows("1 of 3 run")
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
	if got := tm.shows("[new host, write method] reach comes.example.com"); !strings.Contains(got, "1 asked") {
		t.Errorf("it is not told:\n%s", got)
	}
	desk.Withdraw(first, supervise.ErrExpired)
	tm.hides("comes.example.com")
	second := ask("stays.example.com")
	tm.shows("stays.example.com")
	h.put("bottles/other.md", "---\nno_such_key: 1\n---\n")
	h.put("agents/other.md", "---\nbottle: other\n---\n")
	if got := tm.shows("! bottles/other.md:2:1: "); !strings.Contains(got, "stays.example.com") {
		t.Errorf("a broken manifest hides a question:\n%s", got)
	}
	if got := tm.shows("other    "); !strings.Contains(got, "broken") || !strings.Contains(got, "running") {
		t.Errorf("%s", got)
	}
	if err := os.Remove(filepath.Join(h.dir, "agents", "other.md")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(h.dir, "bottles", "other.md")); err != nil {
		t.Fatal(err)
	}
	tm.hides("! bottles/other.md")
	tm.types("y") // not of this pane
	tm.shows("y is no key here")
	tm.types("Tab", "Enter")
	if got := tm.shows("y approve for 4h"); !strings.Contains(got, "!         new host\n!         write method\n") || !strings.Contains(got, `says      "to \u001b[2Jbuild\u202e it q"`) {
		t.Errorf("it is not shown whole:\n%s", got)
	}
	tm.types("f", "f", "f")
	tm.shows("y approve for 30m")
	tm.types("y")
	tm.shows("Approved.")
	answer, ok, err := desk.Wait(t.Context(), second, 10*time.Second)
	if err != nil || !ok || answer.Verdict != egress.Approved {
		t.Errorf("the agent hears %+v, %v, %v", answer, ok, err)
	}
	third := ask("never.example.com")
	tm.shows("never.example.com")
	tm.types("Enter")
	tm.shows("n reject")
	tm.types("n")
	tm.shows("why not ")
	tm.types("-l", "use the mirror")
	tm.types("Enter")
	tm.shows("Rejected.")
	answer, ok, err = desk.Wait(t.Context(), third, 10*time.Second)
	if err != nil || !ok || answer.Verdict != egress.Rejected || answer.Reason != "use the mirror" {
		t.Errorf("the agent hears %+v, %v, %v", answer, ok, err)
	}
	tm.types("q")
	tm.shows("ended-2")
	tm.usable()
	plan, audit := h.run("plan"), h.run("audit", "coder")
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
