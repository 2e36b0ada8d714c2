package e2e_test

import (
	"strings"
	"testing"
	"time"
)

// TestCreateAndDestroyAgain makes and removes bottles again and again: ten
// times here, five hundred in `make soak`, without one failure or leftover.
func TestCreateAndDestroyAgain(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	view := viewEngine(t, engineSocket(t))
	h.bottle("closed", "agent_provider: {template: shell}")
	loops := 10
	if soak() {
		loops = 500
	}
	var agents []string
	for _, role := range []string{"one", "two"} { // one bottle, then two
		agents = append(agents, h.agent(role, "closed", ""))
		var created, removed []time.Duration
		for n := range loops / 2 {
			begin := time.Now()
			h.must("apply", "-y")
			created = append(created, time.Since(begin))
			if wrong := view.ungated(h.id); len(wrong) > 0 {
				t.Fatalf("loop %d: %v", n, wrong)
			}
			if r := h.must("exec", agents[n%len(agents)], "--", "id", "-un"); strings.TrimSpace(r.stdout) != "node" {
				t.Fatalf("loop %d: %s", n, r)
			}
			begin = time.Now()
			h.must("destroy", "-y")
			removed = append(removed, time.Since(begin))
			if left := view.leftovers(h.id); len(left) > 0 {
				t.Fatalf("loop %d: left over: %v", n, left)
			}
			if held := heldLocks(t, h.dir); len(held) > 0 {
				t.Fatalf("loop %d: locks are still held: %v", n, held)
			}
		}
		t.Logf("%d bottles: create %s", len(agents), spread(created))
		t.Logf("%d bottles: destroy %s", len(agents), spread(removed))
	}
}
