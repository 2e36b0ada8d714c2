package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// together runs functions at the same moment and waits for all.
func together(run ...func()) {
	var all sync.WaitGroup
	gate := make(chan struct{})
	for _, r := range run {
		all.Go(func() { <-gate; r() })
	}
	close(gate)
	all.Wait()
}

// TestTwoAppliesOfOneHome lets two bbs work on one home at the same moment:
// one of them refuses and says who works, or waits when it is told to.
func TestTwoAppliesOfOneHome(t *testing.T) {
	t.Parallel()
	h, agents := shellHome(t)
	view := viewEngine(t, engineSocket(t))
	h.must("apply", "-y")
	for n, wait := range []string{"0s", "60s"} {
		h.must("destroy", "-y")
		var both [2]result
		together(
			func() { both[0] = h.run("apply", "-y", "--lock-timeout", wait) },
			func() { both[1] = h.run("apply", "-y", "--lock-timeout", wait) },
		)
		done := 0
		for _, r := range both {
			switch {
			case r.code == 0:
				done++
			case r.code == 1 && n == 0 && strings.Contains(r.stderr, "another bb works on this scope: "):
			default:
				t.Errorf("with --lock-timeout %s: %s", wait, r)
			}
		}
		if done == 0 || n == 1 && done != 2 {
			t.Errorf("with --lock-timeout %s %d of 2 did their work", wait, done)
		}
		h.settled()
		if wrong := view.ungated(h.id); len(wrong) > 0 {
			t.Error(wrong)
		}
		if got := len(view.containers(h.id)); got != 2*len(agents) {
			t.Errorf("want %d containers, got %d: %v", 2*len(agents), got, view.leftovers(h.id))
		}
	}
}

// TestApplyAndDestroyAtOnce asserts that an apply and a destroy of one home
// come one after the other: all is there, or nothing.
func TestApplyAndDestroyAtOnce(t *testing.T) {
	t.Parallel()
	h, agents := shellHome(t)
	view := viewEngine(t, engineSocket(t))
	for n := range 4 {
		if n%2 == 0 {
			h.must("apply", "-y")
		} else {
			h.must("destroy", "-y")
		}
		var applied, destroyed result
		together(
			func() { applied = h.run("apply", "-y", "--lock-timeout", "60s") },
			func() { destroyed = h.run("destroy", "-y", "--lock-timeout", "60s") },
		)
		if applied.code != 0 || destroyed.code != 0 {
			t.Errorf("%s\n%s", applied, destroyed)
		}
		left := view.leftovers(h.id)
		if want := 4 * len(agents); len(left) != 0 && len(left) != want {
			t.Errorf("want nothing or %d resources: %v\n%s\n%s", want, left, applied, destroyed)
		}
		if wrong := view.ungated(h.id); len(wrong) > 0 {
			t.Error(wrong)
		}
	}
	h.must("apply", "-y")
	h.settled()
}

// TestTwoHomesWithOneName applies two homes that have an agent of the same
// name at the same moment, on an engine that neither has used before: both
// get their bottle, and there is one network between them.
func TestTwoHomesWithOneName(t *testing.T) {
	t.Parallel()
	h, agents := shellHome(t)
	e := moveToOwnEngine(t, h, agents[0])
	other := &home{t: t, dir: t.TempDir(), id: h.id, env: h.env, ownEngine: true}
	if err := os.CopyFS(other.dir, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(other.dir, "state")); err != nil { // another owner
		t.Fatal(err)
	}
	view := viewEngine(t, e.host)
	rounds := 3
	if soak() {
		rounds = 25
	}
	for range rounds {
		var both [2]result
		together(
			func() { both[0] = h.run("apply", "-y") },
			func() { both[1] = other.run("apply", "-y") },
		)
		for _, r := range both {
			if r.code != 0 {
				t.Errorf("%s", r)
			}
		}
		var networks []struct{ Name string }
		view.get(`/networks?filters={"name":["bb-egress"]}`, &networks)
		if len(networks) != 1 {
			t.Errorf("want one shared network: %v", networks)
		}
		if wrong := view.ungated(h.id); len(wrong) > 0 {
			t.Error(wrong)
		}
		for _, each := range []*home{h, other} {
			each.settled()
			each.must("exec", agents[0], "--", "true")
		}
		h.must("destroy", "-y")
		other.settled() // a neighbour's destroy is nothing to it
		other.must("destroy", "-y")
		if left := view.leftovers(h.id); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
		forgetShared(t, e)
	}
}

// forgetShared removes what all bottles of an engine share, so that the next
// apply there is the first again.
func forgetShared(t testing.TB, e *engine) {
	t.Helper()
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "-aq", "--filter", "name=bb-bin-", "--filter", "name=bb-egress"}, []string{"rm", "-f"}}, // claims of killed ones
		{[]string{"volume", "ls", "-q", "--filter", "name=bb-bin-"}, []string{"volume", "rm"}},
		{[]string{"network", "ls", "-q", "--filter", "name=bb-egress"}, []string{"network", "rm"}},
	} {
		names, err := command("docker", append([]string{"-H", e.host}, kind.list...)...)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(names) == "" {
			continue
		}
		args := append([]string{"-H", e.host}, kind.remove...)
		if _, err := command("docker", append(args, strings.Fields(names)...)...); err != nil {
			t.Fatal(fmt.Errorf("forget what is shared: %w", err))
		}
	}
}
