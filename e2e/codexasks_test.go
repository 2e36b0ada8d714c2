package e2e_test

import (
	"strings"
	"testing"
	"time"
)

// TestCodexAsks has the real Codex find the tools that ask a person, and call one.
func TestCodexAsks(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, append([]string{"wanted.test"}, codexHosts...)...)
	h := newHome(t)
	newHostLogin(t, h).write(time.Now().Add(24*time.Hour), time.Now().Add(time.Hour))
	h.bottle("asks", "agent_provider: {template: codex, forward_host_credentials: true}\nsupervise: true\n"+
		u.codexEgress()+u.route("wanted.test", "matches: [{methods: [GET], paths: [/open]}]"))
	agent := h.agent("codex", "asks", "")
	h.must("apply", "-y")
	b := bottle{t, h, agent}
	h.must("exec", agent, "--", "codex", "mcp", "list").says(t, "http://supervise:9100/mcp")
	reach := "curl -fsS --max-time 10 https://wanted.test/closed"
	b.fails(reach)

	turn := make(chan result)
	go func() {
		turn <- h.run("run", agent, "-p",
			`call-tool egress-block {"host":"wanted.test","methods":["GET"],"paths":["/closed"],"reason":"the build reads it"}`)
	}()
	p := h.waits(agent, 1)[0]
	h.must("supervise", "approve", p.Proposal.ID, "--digest", p.Digest)
	if r := <-turn; r.code != 0 || !strings.Contains(r.stdout, "the tool said: ") || !strings.Contains(r.stdout, "approved") {
		t.Errorf("codex says %s", r)
	}
	b.must(reach)
	r := h.must("run", agent, "-p", `call-tool list-egress-routes {}`)
	if !strings.Contains(r.stdout, "the tool said: ") || !strings.Contains(r.stdout, "wanted.test") {
		t.Errorf("codex says %s", r)
	}
}
