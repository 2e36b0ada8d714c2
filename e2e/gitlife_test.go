package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestGitTwoBottles: of two bottles that push to one branch at once one wins and
// the other is told; a push whose client is killed changes nothing and leaves
// nothing; and the plan shows a rule that changes in place.
func TestGitTwoBottles(t *testing.T) {
	f := newForge(t)
	repo := f.repository("app")
	h := newHome(t)
	agents := []string{h.agent("one", "dev", ""), h.agent("two", "dev", "")}
	f.declare(h, "", repo)
	h.must("apply", "-y")
	h.settled()
	var results [2]result
	var heads [2]string
	for i, agent := range agents {
		b := bottle{t, h, agent}
		b.must(fmt.Sprintf("git clone -q %s app && cd app && echo %d > x && git add x && git commit -qm x", repo.url, i))
		heads[i] = strings.TrimSpace(b.must("git -C app rev-parse HEAD"))
	}
	var both sync.WaitGroup
	for i, agent := range agents {
		both.Go(func() { results[i] = bottle{t, h, agent}.shell("git -C app push origin HEAD:refs/heads/agent/x") })
	}
	both.Wait()
	winner := 0
	if results[0].code != 0 {
		winner = 1
	}
	if results[winner].code != 0 || results[1-winner].code == 0 {
		t.Fatalf("one of two was to win:\n%s\n%s", results[0], results[1])
	}
	if !strings.Contains(results[1-winner].all(), "rejected") {
		t.Errorf("the other is told: %s", results[1-winner])
	}
	if got := repo.Refs(t)["refs/heads/agent/x"]; got != heads[winner] {
		t.Errorf("the upstream has %q, the winner pushed %s", got, heads[winner])
	}

	// The upstream is held up, so that the push is under way when its client dies.
	repo.Hook(t, "pre-receive", "sleep 20\n")
	b, sidecar := bottle{t, h, agents[0]}, containerOf(t, agents[0], true)
	b.shell("cd app && git commit -q --allow-empty -m late && timeout -s KILL 3 git push origin HEAD:refs/heads/agent/late")
	repo.Hook(t, "pre-receive", "exit 0\n")
	eventually(t, "nothing of the killed push is left in the gate", func() bool {
		return !strings.Contains(docker(t, "exec", sidecar, "ls", "-A", "/var/lib/bb/ca/git"), "push-")
	})
	time.Sleep(time.Second)
	if got := repo.Refs(t)["refs/heads/agent/late"]; got != "" {
		t.Errorf("a killed push arrived as %s", got)
	}
	b.must("git -C app push -q origin HEAD:refs/heads/agent/again")

	f.declare(h, "push: {allow: [refs/heads/main], force: true}", repo)
	h.must("plan", agents[0]).says(t, "git.remotes.origin.push.allow", `-> "refs/heads/main"`, "1 to update, 0 to replace")
}

// TestGitPastTheGate: a push by HTTPS through the proxy is refused also where a
// route allows to fetch, and writes to a forge's API follow the route's rules.
func TestGitPastTheGate(t *testing.T) {
	const name = "forge.test"
	u := newUpstream(t, name)
	h := newHome(t)
	h.bottle("dev", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+
		u.route(name, "matches: [{methods: [GET], paths: [/repos]}, {methods: [POST], paths: [/repos/me/app/pulls]}]\n      git: {fetch: true}"))
	agent := h.agent("coder", "dev", "")
	h.must("apply", "-y")
	h.settled()
	b := bottle{t, h, agent}
	out := b.fails("git init -q app && cd app && git commit -q --allow-empty -m x && git push https://" + name + "/me/app.git HEAD:refs/heads/x")
	refused := b.must("curl -s 'https://" + name + "/me/app.git/info/refs?service=git-receive-pack'")
	if !strings.Contains(out+refused, "git.remotes") && !strings.Contains(out+refused, "git gate") {
		t.Errorf("no word of the gate in:\n%s\n%s", out, refused)
	}
	for request, want := range map[string]bool{
		"-X GET https://" + name + "/repos/me/app":                 true,
		"-X POST https://" + name + "/repos/me/app/pulls":          true,
		"-X PUT https://" + name + "/repos/me/app/contents/x":      false,
		"-X PATCH https://" + name + "/repos/me/app/git/refs/main": false,
		"-X POST https://" + name + "/graphql":                     false,
	} {
		code := b.must("curl -s -o /dev/null -w '%{http_code}' " + request)
		if (code != "403") != want {
			t.Errorf("%s: %s", request, code)
		}
	}
	for _, s := range u.seen() {
		if strings.Contains(s.Path, "receive-pack") || strings.Contains(s.Path, "contents") || s.Path == "/graphql" {
			t.Errorf("arrived outside: %s %s", s.Method, s.Path)
		}
	}
}
