package e2e_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

// tool calls a tool of the bottle's own as a program without an SDK would.
func (b bottle) tool(name string, args map[string]any) string {
	b.t.Helper()
	call, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": name, "arguments": args}})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.shell("curl -sS --max-time 60 -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d " + quote(string(call)) + " http://supervise:9100/mcp").all()
}

// TestAgentAsks: an agent hits a wall and asks, a person answers, and what was
// approved is what the plan knows, until it ends.
func TestAgentAsks(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "wanted.test", "other.test")
	h := newHome(t)
	declare := func(more string) {
		h.bottle("dev", "agent_provider: {template: shell}\nsupervise: true\negress:\n"+u.egress()+"  routes:\n"+u.route("other.test", more))
	}
	declare("")
	agent := h.agent("coder", "dev", "")
	quiet := h.agent("quiet", "quiet", "")
	h.bottle("quiet", "agent_provider: {template: shell}\n")
	h.must("apply", "-y")
	h.settled()
	b := bottle{t, h, agent}
	h.must("supervise").says(t, "Nothing waits.")
	h.fails("audit", agent).says(t, "nobody decided anything")

	if got := (bottle{t, h, quiet}).tool("list-egress-routes", map[string]any{}); !strings.Contains(got, "supervise: true") {
		t.Errorf("where nobody is asked: %s", got)
	}
	reach := "curl -fsS --max-time 10 https://wanted.test/in"
	b.fails(reach)
	ask := map[string]any{"host": "wanted.test", "methods": []string{"GET"}, "reason": "to build\n\x1b[2J\u202eit"}
	asked := make(chan string)
	go func() { asked <- b.tool("egress-block", ask) }()
	var listed []struct {
		Proposal struct{ ID string }
		Labels   []string
		Digest   string
	}
	eventually(t, "the proposal is listed", func() bool {
		listed = nil
		return json.Unmarshal([]byte(h.must("supervise", "--json").stdout), &listed) == nil && len(listed) == 1
	})
	id := listed[0].Proposal.ID
	if r := h.must("supervise"); strings.ContainsAny(r.stdout, "\x1b\u202e") || !strings.Contains(r.stdout, "wanted.test") || !strings.Contains(r.stdout, "new host") {
		t.Errorf("%s", r)
	}
	h.fails("supervise", "approve", id, "--digest", "0000000000000000").says(t, "not what was shown")
	h.fails("supervise", "approve", "ffff").says(t, "nothing that waits")
	h.must("supervise", "approve", id, "--digest", listed[0].Digest, "--for", "20s", "--why", "fine by me").says(t, "wanted.test", "Approved.")
	until := time.Now().Add(20 * time.Second)
	if got := <-asked; !strings.Contains(got, "approved") {
		t.Errorf("the agent hears %s", got)
	}
	// The upstream's network is a private one: that it is named is not enough.
	out := b.shell(reach).all()
	if strings.Contains(out, "no route") {
		t.Errorf("what was approved is refused: %s", out)
	}
	h.settled()
	if r := h.must("info", agent); !strings.Contains(r.stdout, "approved ") || !strings.Contains(r.stdout, ", expires ") {
		t.Errorf("info does not say what was approved: %s", r)
	}
	h.must("supervise", "promote", agent).says(t, `- host: "wanted.test"`, `methods: ["GET"]`)
	h.must("audit", agent).says(t, "approving", "approved", "wanted.test", "fine by me")
	time.Sleep(time.Until(until) + time.Second)
	if out := b.fails(reach); !strings.Contains(out, "403") {
		t.Errorf("after its end: %s", out)
	}
	h.settled() // its end is no drift
	h.must("supervise", "promote", agent).says(t, "Nothing is approved.")

	// Rejected, with a reason that the agent reads.
	go func() { asked <- b.tool("egress-block", ask) }()
	eventually(t, "it is listed again", func() bool {
		listed = nil
		return json.Unmarshal([]byte(h.must("supervise", "--json").stdout), &listed) == nil && len(listed) == 1
	})
	h.must("supervise", "reject", listed[0].Proposal.ID, "--reason", "use other.test")
	if got := <-asked; !strings.Contains(got, "rejected: use other.test") {
		t.Errorf("the agent hears %s", got)
	}

	// A no stands: who asks the same again is answered at once, and nobody is asked.
	if got := b.tool("egress-block", ask); !strings.Contains(got, "rejected: use other.test") || !strings.Contains(got, "nobody is asked") {
		t.Errorf("asked again: %s", got)
	}
	h.must("supervise").says(t, "Nothing waits.")

	// Kept, then taken back; a manifest that moved meanwhile is applied first.
	ask["methods"] = []string{"GET", "HEAD"}
	go func() { asked <- b.tool("egress-block", ask) }()
	eventually(t, "it is listed once more", func() bool {
		listed = nil
		return json.Unmarshal([]byte(h.must("supervise", "--json").stdout), &listed) == nil && len(listed) == 1
	})
	declare("matches: [{methods: [GET]}]")
	h.fails("supervise", "approve", "-y", "--keep", listed[0].Proposal.ID).says(t, "bb apply "+agent+" first")
	h.must("apply", "-y", agent)
	h.must("supervise", "approve", "-y", "--keep", listed[0].Proposal.ID)
	<-asked
	h.settled()
	// A replacement is pending, and a route of the manifest: revoking does neither.
	b.shell("touch /tmp/here")
	h.bottle("dev", "agent_provider: {template: shell}\nsupervise: true\nenv: {MORE: value}\negress:\n"+u.egress()+"  routes:\n"+u.route("other.test", "matches: [{methods: [GET, PUT]}]"))
	h.must("plan", agent).says(t, "-/+")
	h.must("supervise", "revoke", agent).says(t, "Taken back: 1.")
	if out := b.fails(reach); !strings.Contains(out, "403") {
		t.Errorf("taken back: %s", out)
	}
	if out := b.shell("ls /tmp/here").all(); !strings.Contains(out, "/tmp/here") || strings.Contains(out, "No such") {
		t.Errorf("the bottle is another one: %s", out)
	}
	if out := b.fails("curl -fsS --max-time 10 -X PUT https://other.test/in"); !strings.Contains(out, "403") {
		t.Errorf("the manifest came in force with it: %s", out)
	}
	declare("matches: [{methods: [GET]}]")
	h.must("apply", "-y", agent)
	h.settled()
	if out := b.shell("ls /tmp/here").all(); strings.Contains(out, "No such") {
		t.Errorf("the bottle is another one: %s", out)
	}
	h.must("audit", agent, "--json").says(t, `"event":"revoked"`)

	t.Run("flood", func(t *testing.T) { floods(t, h, bottle{t, h, agent}) })

	// A bottle of one session asks as well, and goes on after it was stopped.
	session := h.onTerminal("start", "--keep", "-y", agent)
	session.says("started")
	session.types("exit\r", "is kept")
	session.ends(0)
	id = regexp.MustCompile(agent + `_x[0-9a-f]+`).FindString(session.text())
	one := bottle{t, h, id}
	go func() { asked <- one.tool("egress-block", ask) }()
	waiting := h.waits(id, 1)[0]
	if waiting.Bottle != id {
		t.Errorf("%s asks as %s", id, waiting.Bottle)
	}
	h.must("supervise", "approve", "-y", "--keep", waiting.Proposal.ID)
	if got := <-asked; !strings.Contains(got, "approved") {
		t.Errorf("the agent of one session hears %s", got)
	}
	h.must("stop", id)
	again := h.onTerminal("start", "--resume", id, "-y")
	again.says("started")
	again.types("exit\r", "is kept")
	again.ends(0)
	if out := one.shell(reach).all(); strings.Contains(out, "no route") {
		t.Errorf("what was approved is forgotten: %s", out)
	}
	h.must("supervise", "revoke", id)
	h.must("destroy", "-y", "--force", id)
}

// floods asks for more than has room: at once, of which 32 wait, and once more when
// these do. All that are refused are told so, and nothing else.
func floods(t *testing.T, h *home, b bottle) {
	const room = 32
	r := b.shell(`for n in $(seq 40); do
	curl -sS --max-time 60 -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -o /tmp/flood-$n -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"egress-block\",\"arguments\":{\"host\":\"h$n.test\",\"reason\":\"r\"}}}" http://supervise:9100/mcp &
done; wait; for n in $(seq 40); do cat /tmp/flood-$n; echo; done`)
	waits, refused := 0, 0
	for line := range strings.Lines(r.stdout) {
		switch line = strings.TrimSpace(line); {
		case strings.Contains(line, `"text":"pending: nobody has answered yet.`):
			waits++
		case line == `{"error":"egress: too many ask at once: try again"}`:
			refused++
		case line != "":
			t.Errorf("a flood is told %q", line)
		}
	}
	if waits != room || refused != 40-room {
		t.Errorf("%d wait, %d are refused: %s", waits, refused, r.stderr)
	}
	got := b.tool("egress-block", map[string]any{"host": "one-more.test", "reason": "r"})
	if !strings.Contains(got, `"text":"32 proposals wait for a person already: wait for an answer, do not propose more"`) || !strings.Contains(got, `"isError":true`) {
		t.Errorf("one more is told %s", got)
	}
	if n := strings.Count(h.must("supervise").stdout, "\n"); n != room {
		t.Errorf("%d wait", n)
	}
	h.must("supervise", "reject", "--all", b.agent, "--reason", "not so many").says(t, "Rejected: 32.")
	h.must("supervise").says(t, "Nothing waits.")
}
