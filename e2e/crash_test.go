package e2e_test

import (
	"context"
	"strings"
	"testing"
	"time"
)

// shellHome has two agents in bottles that need no outside.
func shellHome(t *testing.T) (h *home, agents []string) {
	t.Helper()
	h = newHome(t)
	h.bottle("closed", "agent_provider: {template: shell}")
	return h, []string{h.agent("one", "closed", ""), h.agent("two", "closed", "")}
}

// TestApplyAfterKill kills bb with SIGKILL in the middle of apply, at several
// points in time, and asserts that the next apply finishes what was begun.
func TestApplyAfterKill(t *testing.T) {
	h, agents := shellHome(t)
	h.must("apply", "-y") // images are there from now on
	h.must("destroy", "-y")
	begin := time.Now()
	h.must("apply", "-y")
	whole := time.Since(begin)
	t.Logf("apply takes %v", whole)

	const points = 6
	interrupted := 0
	for n := range points {
		h.must("destroy", "-y")
		at := whole * time.Duration(n+1) / (points + 1)
		cmd := h.command(context.Background(), "apply", "-y")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(at)
		cmd.Process.Kill() //nolint:errcheck // it may have finished: counted below
		if err := cmd.Wait(); err != nil {
			interrupted++
		}
		t.Logf("killed after %v: %v", at, resources(t, h.id))
		h.must("plan")
		h.must("apply", "-y")
		h.settled()
		for _, a := range agents {
			if r := h.must("exec", a, "--", "id", "-un"); strings.TrimSpace(r.stdout) != "node" {
				t.Errorf("after %v: %s", at, r)
			}
		}
	}
	if interrupted < points/2 {
		t.Errorf("only %d of %d applies were interrupted", interrupted, points)
	}
}

// TestDestroyAfterKill asserts that what a killed apply leaves is also found
// by a destroy that comes first.
func TestDestroyAfterKill(t *testing.T) {
	h, _ := shellHome(t)
	h.must("apply", "-y")
	h.must("destroy", "-y")
	cmd := h.command(context.Background(), "apply", "-y")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first container exists", func() bool {
		return strings.Contains(strings.Join(resources(t, h.id), "\n"), "container ")
	})
	cmd.Process.Kill() //nolint:errcheck // it may have finished
	cmd.Wait()         //nolint:errcheck // it was killed
	h.must("destroy", "-y")
	if left := resources(t, h.id); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}
