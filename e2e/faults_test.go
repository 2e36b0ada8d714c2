package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// What apply does not do yet: each is asserted as soon as its word is true.
const (
	// A half-created instance is removed again after a failure.
	failedApplyTidiesUp = true
	// An agent that was started, and not handed its ${VAR} values because bb
	// died, gets them by the next apply.
	repairGivesValues = true
)

// act is one command whose every step is tried, on two bottles that have all
// that steps are made of: variables, a token, an identity, a prompt.
type act struct {
	name string
	args []string
	// begin brings the home to where the command starts.
	begin func(w *stage)
	// repair is the command that has to finish what was begun.
	repair []string
}

var acts = []act{
	{"create", []string{"apply", "-y"}, func(w *stage) { w.destroyed() }, []string{"apply", "-y"}},
	{"create and give up", []string{"apply", "-y"}, func(w *stage) { w.destroyed() }, []string{"destroy", "-y"}},
	{"replace", []string{"apply", "-y"}, func(w *stage) { w.applied(); w.edit(true) }, []string{"apply", "-y"}},
	{"update", []string{"apply", "-y"}, func(w *stage) { w.applied(); w.edit(false) }, []string{"apply", "-y"}},
	{"destroy", []string{"destroy", "-y"}, (*stage).applied, []string{"destroy", "-y"}},
}

// stage is a home with what is around it.
type stage struct {
	*home
	view    *engineView
	proxy   *engineProxy
	agents  []string
	planted *bystanders
	edits   int
	color   string // of the last replacement
	running bool   // as far as the last repair goes
}

func newStage(t *testing.T) *stage {
	t.Helper()
	host := engineSocket(t)
	w := &stage{home: newHome(t), view: viewEngine(t, host), proxy: newEngineProxy(t, host)}
	w.env = []string{"E2E_TOKEN=token-" + random(16), "E2E_VALUE=value-" + random(8)}
	w.edit(true)
	w.agents = []string{"one-" + w.id, "two-" + w.id}
	w.must("apply", "-y") // images are there from now on
	w.running = true
	w.planted = newBystanders(t, w.view, w.agents[0], containerOf(t, w.agents[0], false))
	return w
}

// edit changes every live part of the manifests, and on demand the fixed half.
func (w *stage) edit(fixed bool) {
	w.edits++
	n := w.edits
	if fixed {
		w.color = fmt.Sprint("color-", n)
	}
	w.bottle("open", fmt.Sprintf(`
agent_provider: {template: shell}
env: {COLOR: %s, SECRET: "${E2E_VALUE}"}
git_user: {name: N%d, email: n%d@example.com}
egress:
  routes:
    - {host: a%d.test, auth: {scheme: Bearer, token_ref: E2E_TOKEN}}
    - {host: b.test, path_allowlist: [/%d]}`, w.color, n, n, n, n))
	w.agent("one", "open", fmt.Sprint("Prompt ", n))
	w.agent("two", "open", fmt.Sprint("Prompt ", n))
}

func (w *stage) applied() {
	w.t.Helper()
	if !w.running {
		w.must("apply", "-y")
		w.running = true
	}
}

func (w *stage) destroyed() {
	w.t.Helper()
	w.must("destroy", "-y")
	w.running = false
	w.nothingLeft()
}

func (w *stage) nothingLeft() {
	w.t.Helper()
	if left := w.planted.without(w.view.leftovers(w.id)); len(left) > 0 {
		w.t.Errorf("left over: %v", left)
	}
}

// sound asserts what holds at any moment, whatever happened to bb.
func (w *stage) sound(when string) {
	w.t.Helper()
	for _, wrong := range w.view.ungated(w.id) {
		w.t.Errorf("%s: %s", when, wrong)
	}
	for _, touched := range w.planted.touched() {
		w.t.Errorf("%s: what is not bb's: %s", when, touched)
	}
	if held := heldLocks(w.t, w.dir); len(held) > 0 {
		w.t.Errorf("%s: nobody works, and the locks %v are held", when, held)
	}
}

// repaired runs the command that finishes, and asserts that it did.
func (w *stage) repaired(a act, when string) {
	w.t.Helper()
	r := w.run(a.repair...)
	// What the killed bb ran in the bottle takes a moment to end, and is waited for.
	for end := time.Now().Add(10 * time.Second); r.code != 0 && strings.Contains(r.all(), "is in use") && time.Now().Before(end); r = w.run(a.repair...) {
		time.Sleep(200 * time.Millisecond)
	}
	if r.code != 0 {
		w.t.Fatalf("%s: the next %s fails: %s", when, a.repair[0], r)
	}
	w.running = a.repair[0] == "apply"
	w.sound(when + " and repair")
	if !w.running {
		w.nothingLeft()
		return
	}
	w.settled()
	for _, agent := range w.agents {
		r := w.must("exec", agent, "--", "sh", "-c", "echo $COLOR; git config user.name; echo $SECRET")
		want := fmt.Sprintf("%s\nN%d\n", w.color, w.edits)
		if repairGivesValues {
			want += "value-"
		}
		if !strings.HasPrefix(r.stdout, want) {
			w.t.Errorf("%s: the bottle is not as its manifest says: %s", when, r)
		}
	}
}

// steps runs an act through the proxy without any fault: what there is to try.
func (w *stage) steps(a act) []call {
	w.t.Helper()
	a.begin(w)
	w.proxy.arm(fault{})
	if r := w.proxy.runThrough(w.home, a.args...); r.code != 0 {
		w.t.Fatalf("the proxy alone breaks bb: %s", r)
	}
	w.running = a.args[0] == "apply"
	calls, _ := w.proxy.journal()
	w.sound("without a fault")
	if w.running {
		w.settled()
	} else {
		w.nothingLeft()
	}
	found := changing(calls)
	w.t.Logf("%s: %d requests, %d of them change something", a.name, len(calls), len(found))
	return found
}

// TestKilledAtEveryStep kills bb with SIGKILL before and after every request
// that changes something, in every kind of change: no agent ever runs without
// its gate, nothing of others is touched, and the next apply settles.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	tryAll(t, 10, []fault{{do: kill}, {do: kill, after: true}}, func(w *stage, _ act, r result, when string) {
		if r.code != -1 {
			w.t.Errorf("%s: bb was not killed: %s", when, r)
		}
	})
}

// TestRefusedAtEveryStep lets the engine fail, and the line to it break, at
// every such request: one clear line, exit 1, and the next apply repairs.
func TestRefusedAtEveryStep(t *testing.T) {
	t.Parallel()
	tryAll(t, 10, []fault{{do: refuse}, {do: cut}, {do: cut, after: true}}, failedClearly)
}

// failedClearly holds a command that met a fault to its one clear line; one
// that could do without the answer must have done all it was for.
func failedClearly(w *stage, a act, r result, when string) {
	w.t.Helper()
	if r.code == 0 && a.args[0] == "apply" {
		w.settled() // it asked only to show more: nothing was lost
		return
	}
	if r.code != 1 {
		w.t.Errorf("%s: want exit 1: %s", when, r)
	}
	var errors []string
	for line := range strings.Lines(r.stderr) {
		if strings.HasPrefix(line, "bb: ") {
			errors = append(errors, line)
		}
	}
	if len(errors) != 1 || strings.Contains(r.all(), "goroutine ") {
		w.t.Errorf("%s: want one line that says why, got %d: %s", when, len(errors), r)
	} else if !strings.Contains(errors[0], "has a fault of this test") && !strings.Contains(errors[0], "received 500") && !strings.Contains(errors[0], "went away") {
		w.t.Errorf("%s: the line does not say what the engine did: %s", when, r)
	}
	afterFailedApply(w, a, when)
}

// afterFailedApply asserts what an apply that failed, and was not killed,
// leaves behind: whole bottles, and nothing of those that it began to create.
func afterFailedApply(w *stage, a act, when string) {
	w.t.Helper()
	if !failedApplyTidiesUp || a.name != "create" {
		return
	}
	for _, agent := range w.agents {
		left := w.planted.without(w.view.leftovers("bb-" + agent))
		const whole = 4 // two containers, two volumes
		if len(left) != 0 && len(left) != whole {
			w.t.Errorf("%s: %s is half made: %v", when, agent, left)
		}
	}
}

// TestFirstApply tries the steps that only the first apply on an engine has:
// filling the binary's volume and making the network, for all that come later.
func TestFirstApply(t *testing.T) {
	t.Parallel()
	h, agents := shellHome(t)
	e := moveToOwnEngine(t, h, agents[0])
	w := &stage{home: h, view: viewEngine(t, e.host), proxy: newEngineProxy(t, e.host), planted: &bystanders{}}
	w.env = append(w.env, "E2E_TOKEN=token-"+random(16), "E2E_VALUE=value-"+random(8))
	w.agents = agents
	w.edit(true)
	w.must("apply", "-y") // its image is not among those that were brought along
	first := []act{{"first apply", []string{"apply", "-y"}, func(w *stage) { w.destroyed(); forgetShared(w.t, e) }, []string{"apply", "-y"}}}
	faults := []fault{{do: kill}, {do: kill, after: true}, {do: cut, after: true}}
	tryOn(w, first, func(all []point) []point {
		// The shared part comes first; the rest is tried on the shared engine.
		shared := slices.DeleteFunc(all, func(p point) bool { return p.fault.step > 8 })
		return sample(t, shared, 3)
	}, faults, func(*stage, act, result, string) {})
}

// tryAll brings every fault to every step of every act, or a sample of n.
func tryAll(t *testing.T, n int, faults []fault, check func(w *stage, a act, r result, when string)) {
	t.Helper()
	tryOn(newStage(t), acts, sampled(t, n), faults, check)
}

// sampled is a choice among points for a test that cannot afford them all.
func sampled(t *testing.T, n int) func([]point) []point {
	return func(all []point) []point { return sample(t, all, n) }
}

// point is one fault at one step of one act.
type point struct {
	act   act
	fault fault
}

// tryOn brings faults to the steps of acts, on a stage that is there.
func tryOn(w *stage, acts []act, choose func([]point) []point, faults []fault, check func(w *stage, a act, r result, when string)) {
	w.t.Helper()
	var all []point
	for _, a := range acts {
		for _, step := range w.steps(a) {
			for _, f := range faults {
				f.step = step.Step
				all = append(all, point{a, f})
			}
		}
	}
	missed := 0
	chosen := choose(all)
	for _, p := range chosen {
		p.act.begin(w)
		w.proxy.arm(p.fault)
		r := w.proxy.runThrough(w.home, p.act.args...)
		calls, met := w.proxy.journal()
		if !met {
			missed++ // the number of steps differs a little from run to run
			w.running = p.act.args[0] == "apply"
			continue
		}
		when := fmt.Sprintf("%s, %s (%v)", p.act.name, p.fault, at(calls, p.fault.step))
		w.sound(when)
		check(w, p.act, r, when)
		w.repaired(p.act, when)
	}
	w.destroyed()
	if missed > len(chosen)/4 {
		w.t.Errorf("%d of %d faults never came to pass", missed, len(chosen))
	}
	w.t.Logf("%d points, %d of them not met", len(chosen), missed)
}

// at is the call of a step, as it was this time.
func at(calls []call, step int) call {
	for _, c := range calls {
		if c.Step == step {
			return c
		}
	}
	return call{}
}
