package docker

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

// TestSessionsCountWhatRuns: the engine keeps what was created and never
// started, and on some versions what has ended; neither is a session.
func TestSessionsCountWhatRuns(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	c, ctx := raw(t), t.Context()
	count := func(what string, want int) {
		t.Helper()
		got := -1
		for begin := time.Now(); got != want && time.Since(begin) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
			var err error
			if got, err = d.Sessions(ctx, s.ID); err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	exec := func(argv ...string) string {
		t.Helper()
		made, err := c.ContainerExecCreate(ctx, s.ID.Name(), container.ExecOptions{Cmd: argv, User: agentUser})
		if err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	start := func(id string) {
		t.Helper()
		if err := c.ContainerExecStart(ctx, id, container.ExecStartOptions{Detach: true}); err != nil {
			t.Fatal(err)
		}
	}
	exec("sleep", "1000")
	count("created, never started", 0)
	start(exec("true"))
	count("ended", 0)
	start(exec("sleep", "1000"))
	count("detached and running", 1)
	sh(t, d, s, "for p in /proc/[0-9]*; do grep -qsx sleep $p/comm && kill ${p#/proc/}; done; true")
	count("killed from inside", 0)
}
