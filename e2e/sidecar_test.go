package e2e_test

import (
	"bytes"
	"strings"
	"testing"
)

// TestSidecarKilled kills the sidecar's process, from where the engine does not
// know that it was meant: the engine starts it again, without configuration.
func TestSidecarKilled(t *testing.T) {
	for _, how := range []struct {
		name string
		kill func(t *testing.T, sidecar string)
	}{
		{"and stays down", func(t *testing.T, sidecar string) { docker(t, "kill", "-s", "KILL", sidecar) }},
		{"and comes back", func(t *testing.T, sidecar string) {
			before := docker(t, "inspect", "--format", "{{.State.Pid}}", sidecar)
			docker(t, "run", "--rm", "--pid", "host", probeImage, "kill", before)
			eventually(t, "the engine restarted the sidecar", func() bool {
				now := docker(t, "inspect", "--format", "{{.State.Running}} {{.State.Pid}}", sidecar)
				return strings.HasPrefix(now, "true ") && now != "true "+before
			})
		}},
	} {
		t.Run(how.name, func(t *testing.T) {
			u := newUpstream(t, "allowed.test")
			h := newHome(t)
			value := "token-" + random(16)
			h.env = []string{"E2E_TOKEN=" + value}
			h.bottle("open", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+
				u.route("allowed.test", "auth: {scheme: Bearer, token_ref: E2E_TOKEN}"))
			agent := h.agent("worker", "open", "")
			h.must("apply", "-y")

			bottle, sidecar := containerOf(t, agent, false), containerOf(t, agent, true)
			id := containerID(t, bottle)
			probe := push(t, bottle, probeBinary)
			held := startHolding(t, h, agent, probe, "https://allowed.test/held")
			eventually(t, "the running process reaches the upstream", held.works)

			how.kill(t, sidecar)
			if r := h.run("exec", agent, "--", "curl", "-sSf", "--max-time", "5", "https://allowed.test/while-down"); r.code == 0 {
				t.Errorf("there is a way out without a configured sidecar: %s", r)
			}
			r := h.run("plan", "--detailed-exitcode")
			if r.code != 2 {
				t.Errorf("plan does not show a lost sidecar: %s", r)
			}
			r.says(t, agent)
			held.forget()
			h.must("apply", "-y")
			h.settled()

			if now := containerID(t, containerOf(t, agent, false)); now != id {
				t.Errorf("the agent's container was replaced: %s is now %s", id, now)
			}
			eventually(t, "TLS of the process that ran all the time works again", held.works)
			for _, s := range u.seen() {
				if s.Path == "/while-down" || s.Authorization != "Bearer "+value {
					t.Errorf("the outside saw %s with %q", s.Path, s.Authorization)
				}
			}
		})
	}
}

// holding is a process inside a bottle that fetches again and again, with the
// trust it read when it started.
type holding struct{ *started }

// works reports whether it got an answer since it was last told to forget.
func (h holding) works() bool { return bytes.Contains(h.out.bytes(), []byte(`"out":true`)) }

func (h holding) forget() { h.out.reset() }

func startHolding(t testing.TB, h *home, agent, probe string, args ...string) holding {
	t.Helper()
	return holding{start(t, h, agent, "", append([]string{probe, "hold", "-for", "3m"}, args...)...)}
}
