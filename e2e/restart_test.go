package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// restart stops an engine as a service manager does, and starts it again: its
// containers are told to end, and those that have a restart policy come back.
func (e *engine) restart() {
	e.t.Helper()
	e.stop()
	e.start()
}

// stop asks dockerd, which is the only child of what made its namespaces.
func (e *engine) stop() {
	e.t.Helper()
	pid := e.cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		e.t.Fatal(err)
	}
	for _, child := range strings.Fields(string(children)) {
		if _, err := command("kill", "-TERM", child); err != nil {
			e.t.Fatal(err)
		}
	}
	ended := time.AfterFunc(45*time.Second, func() {
		e.t.Error("the engine does not stop when it is told to")
		e.kill()
	})
	e.cmd.Wait() //nolint:errcheck // it was told to end
	ended.Stop()
}

// TestEngineRestarts restarts an engine beneath an apply, and then beneath
// bottles that run. The sidecars come back without configuration and pass
// nothing; apply configures them and starts the agents that were there.
func TestEngineRestarts(t *testing.T) {
	t.Parallel()
	h, agents := shellHome(t)
	e := moveToOwnEngine(t, h, agents[0])
	view := viewEngine(t, e.host)

	var out bytes.Buffer
	cmd := h.command(context.Background(), "apply", "-y")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "apply has made a container", func() bool { return len(view.containers(h.id)) > 0 })
	e.restart()
	cmd.Wait() //nolint:errcheck // the exit code is looked at below
	if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Contains(out.String(), "goroutine ") {
		t.Errorf("want exit 1 and an error, got %d\n%s", code, out.String())
	}
	if wrong := view.ungated(h.id); len(wrong) > 0 {
		t.Error(wrong)
	}
	h.must("apply", "-y")
	h.settled()

	before := idsOf(view, h.id)
	h.must("exec", agents[0], "--", "sh", "-c", "echo work > /home/node/work")
	e.restart()
	eventually(t, "the sidecars are back", func() bool {
		n := 0
		for _, c := range view.containers(h.id) {
			if c.Labels["bb.role"] == "sidecar" && c.State == "running" && view.lastState(c.ID) == "unconfigured" {
				n++
			}
		}
		return n == len(agents)
	})
	if wrong := view.ungated(h.id); len(wrong) > 0 {
		t.Error(wrong) // agents do not come back by themselves
	}
	var p struct {
		Changes []struct{ Actions, Reasons []string }
	}
	if err := json.Unmarshal([]byte(h.must("plan", "--json").stdout), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Changes) != len(agents) {
		t.Errorf("want a change of every bottle: %+v", p)
	}
	for _, c := range p.Changes {
		if !slices.Equal(c.Actions, []string{"start"}) || !slices.Contains(c.Reasons, "stopped") || !slices.Contains(c.Reasons, "sidecar_lost") {
			t.Errorf("want a start because of stopped and sidecar_lost: %+v", c)
		}
	}
	h.must("apply", "-y")
	h.settled()
	if after := idsOf(view, h.id); !slices.Equal(after, before) {
		t.Errorf("something was replaced: %v, now %v", before, after)
	}
	h.must("exec", agents[0], "--", "cat", "/home/node/work").says(t, "work")

	// An agent that runs on while its sidecar lost all is not replaced.
	sidecar := view.containers("bb-" + agents[0] + "-")
	for _, c := range sidecar {
		if c.Labels["bb.role"] == "sidecar" {
			if _, err := command("docker", "-H", e.host, "restart", c.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.must("plan", "--json").says(t, `"sidecar_lost"`)
	h.must("apply", "-y")
	h.settled()
	if after := idsOf(view, h.id); !slices.Equal(after, before) {
		t.Errorf("something was replaced: %v, now %v", before, after)
	}
	h.must("destroy", "-y")
	if left := view.leftovers(h.id); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func idsOf(view *engineView, text string) (ids []string) {
	for _, c := range view.containers(text) {
		ids = append(ids, c.name()+" "+c.ID)
	}
	slices.Sort(ids)
	return ids
}
