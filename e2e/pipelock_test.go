package e2e_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// pipelockIn returns the process ids of pipelock in a sidecar.
func pipelockIn(t *testing.T, sidecar string) []string {
	t.Helper()
	return strings.Fields(docker(t, "exec", sidecar, "sh", "-c",
		`for p in /proc/[0-9]*; do [ "$(readlink $p/exe)" = /usr/local/bin/pipelock ] && echo "${p#/proc/}"; done; true`))
}

// TestPipelock puts the stand-in for pipelock into a real sidecar and out of it
// again.
func TestPipelock(t *testing.T) {
	u := newUpstream(t, "allowed.test", "through.test")
	h := newHome(t)
	value := "ghp_" + strings.Repeat(random(4), 9)[:36] // pipelock blocks it elsewhere
	bare := []string{"E2E_TOKEN=" + value, "BB_PIPELOCK="}
	h.env = bare
	egress := func(pipelock string) string {
		return "agent_provider: {template: shell}\negress:\n" + u.egress() + pipelock + "  routes:\n" +
			u.route("allowed.test", "auth: {scheme: Bearer, token_ref: E2E_TOKEN}") +
			"    - host: through.test\n      pipelock: {tls_passthrough: true, ssrf_ip_allowlist: [" + u.subnet + "]}\n"
	}
	h.bottle("open", egress("  pipelock: true\n"))
	agent := h.agent("worker", "open", "")

	const missing = "pipelock is not on PATH (install version 2 from its releases page, or name it with BB_PIPELOCK)"
	h.must("plan").says(t, "pipelock is not on PATH: apply will stop here")
	h.fails("apply", "-y").says(t, missing)
	if made := docker(t, "ps", "-aq", "--filter", "name="+agent); made != "" {
		t.Fatalf("an apply that cannot succeed has made %s", made)
	}
	h.env = append(bare[:1:1], "BB_PIPELOCK="+sidecarBinary) // static, for linux, and something else
	if r := h.fails("apply", "-y"); runtime.GOOS == "linux" {
		r.says(t, "it exited with code")
	}

	standin := filepath.Join(t.TempDir(), "pipelock")
	arch := strings.TrimSpace(docker(t, "version", "--format", "{{.Server.Arch}}"))
	if err := build("../egress/pipelock/internal/standin", standin, "linux", arch); err != nil {
		t.Fatal(err)
	}
	h.env = append(bare[:1:1], "BB_PIPELOCK="+standin)
	h.must("doctor").says(t, "pipelock")
	h.must("apply", "-y")
	h.settled()
	bottle, sidecar := containerOf(t, agent, false), containerOf(t, agent, true)
	agentID, sidecarID := containerID(t, bottle), containerID(t, sidecar)
	before := pipelockIn(t, sidecar)
	if len(before) != 1 {
		t.Fatalf("processes of pipelock: %v", before)
	}
	if env := docker(t, "exec", sidecar, "cat", "/proc/"+before[0]+"/environ"); strings.Contains(env, "BB_") || strings.Count(env, "\x00") > 1 {
		t.Errorf("its environment is %q", env)
	}
	if out, err := command("docker", "exec", sidecar, "sh", "-c", "cat /run/bb/pipelock/*/pipelock.yaml | grep -c allowed.test"); err != nil || strings.TrimSpace(out) != "1" {
		t.Errorf("its configuration: %q %v", out, err)
	}

	curl := func(url, data string) string {
		t.Helper()
		return h.run("exec", agent, "--", "curl", "-sS", "--max-time", "20", "-D", "-", "-d", data, url).stdout
	}
	const leak = "standin-secret-1234"
	if out := curl("https://allowed.test/fine", "hello"); !strings.Contains(out, " 200 ") {
		t.Fatalf("through pipelock: %s", out)
	}
	out := curl("https://allowed.test/leak", leak)
	for _, want := range []string{" 403 ", "blocked: request body contains secret: Token", "pipelock blocked this request, unless allowed.test says so itself"} {
		if !strings.Contains(out, want) {
			t.Errorf("a denial without %q: %s", want, out)
		}
	}
	if out := curl("https://through.test/through", leak); !strings.Contains(out, " 200 ") {
		t.Errorf("passed through: %s", out)
	}
	arrived := map[string]string{}
	for _, s := range u.seen() {
		arrived[s.Path] = s.Authorization
	}
	if _, leaked := arrived["/leak"]; leaked || arrived["/fine"] != "Bearer "+value || arrived["/through"] != "" {
		t.Errorf("outside saw %v", arrived)
	}

	docker(t, "exec", sidecar, "sh", "-c", "kill -9 "+before[0])
	eventually(t, "pipelock is back", func() bool {
		now := pipelockIn(t, sidecar)
		return len(now) == 1 && now[0] != before[0] && strings.Contains(curl("https://allowed.test/again", "hello"), " 200 ")
	})
	h.settled()

	h.env = bare // without the program nothing that runs is touched
	h.settled()
	h.bottle("open", egress(""))
	h.must("plan").says(t, "egress.pipelock (the agent stays)")
	h.must("apply", "-y")
	h.settled()
	if now := containerID(t, containerOf(t, agent, false)); now != agentID {
		t.Errorf("the agent was replaced: %s is now %s", agentID, now)
	}
	sidecar = containerOf(t, agent, true)
	if now := containerID(t, sidecar); now == sidecarID || len(pipelockIn(t, sidecar)) > 0 {
		t.Errorf("pipelock is off, and the sidecar is %s (it was %s)", now, sidecarID)
	}
	if out := curl("https://allowed.test/off", leak); !strings.Contains(out, " 200 ") {
		t.Errorf("without pipelock: %s", out)
	}
	if logs := docker(t, "logs", sidecar); strings.Contains(logs, value) {
		t.Error("the sidecar's log holds the credential")
	}
}
