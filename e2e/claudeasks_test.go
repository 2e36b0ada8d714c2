package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestClaudeAsks has the real Claude Code call the tool that asks a person. What
// the person allows passes, is on record, is what the plan knows, and ends.
func TestClaudeAsks(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "api.anthropic.com", "wanted.test")
	h := newHome(t)
	h.env = []string{"E2E_CLAUDE_TOKEN=oauth-" + random(20)}
	h.bottle("asks", "agent_provider: {template: claude, auth_token: E2E_CLAUDE_TOKEN}\nsupervise: true\negress:\n"+
		u.egress()+"  routes:\n"+u.route("api.anthropic.com", "")+u.route("wanted.test", "matches: [{methods: [GET], paths: [/open]}]"))
	agent := h.agent("claude", "asks", "")
	h.must("apply", "-y")
	b := bottle{t, h, agent}
	reach := "curl -fsS --max-time 10 https://wanted.test/closed"
	b.must("curl -fsS --max-time 10 https://wanted.test/open")
	b.fails(reach)

	turn := make(chan result)
	go func() {
		turn <- h.run("run", agent, "-p",
			`call-tool mcp__bb__egress-block {"host":"wanted.test","methods":["GET"],"paths":["/closed"],"reason":"the build reads it"}`)
	}()
	var listed []struct {
		Proposal struct{ ID, Reason string }
		Labels   []string
		Digest   string
	}
	eventually(t, "the proposal is listed", func() bool {
		listed = nil
		return json.Unmarshal([]byte(h.must("supervise", "--json").stdout), &listed) == nil && len(listed) == 1
	})
	p := listed[0]
	if p.Proposal.Reason != "the build reads it" || !strings.Contains(strings.Join(p.Labels, " "), "wider path") {
		t.Errorf("it reads %+v", p)
	}
	const lasts = 30 * time.Second
	h.must("supervise", "approve", p.Proposal.ID, "--digest", p.Digest, "--for", lasts.String())
	until := time.Now().Add(lasts)
	if r := <-turn; r.code != 0 || !strings.Contains(r.stdout, "the tool said: ") || !strings.Contains(r.stdout, "approved") {
		t.Errorf("claude says %s", r)
	}
	b.must(reach)
	h.settled()
	h.must("info", agent).says(t, "approved ", ", expires ")
	h.must("audit", agent).says(t, "approving", "approved", "wanted.test")
	h.must("plan").says(t, "No changes.", "wanted.test:443", "approved ", ", expires ")
	time.Sleep(time.Until(until) + time.Second)
	if r := h.must("plan"); strings.Contains(r.stdout, "approved") {
		t.Errorf("of what ended: %s", r)
	}
	if out := b.fails(reach); !strings.Contains(out, "403") {
		t.Errorf("after its end: %s", out)
	}
}
