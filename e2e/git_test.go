package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/gittest"
)

// TestGitGate uses a remote as an agent does: the real git in a real bottle,
// and a real sshd as the upstream.
func TestGitGate(t *testing.T) {
	f := newForge(t)
	repo := f.repository("app", oldSecrets(11)...)
	h := newHome(t)
	agent := h.agent("coder", "dev", "")
	f.declare(h, "", repo)
	h.must("plan", agent).says(t, "git gate", "origin -> "+f.Address())
	h.must("apply", "-y")
	h.settled()
	b := bottle{t, h, agent}
	before := repo.Refs(t)

	b.must("git clone -q " + repo.url + " app")
	if got := b.must("git -C app config remote.origin.url"); strings.TrimSpace(got) != repo.url {
		t.Errorf("the clone's origin is %q", got)
	}
	outside := repo.Commit(t, "main", "Pass by", map[string]string{"outside.txt": "out of band\n"})
	b.must("git -C app fetch -q")
	if got := strings.TrimSpace(b.must("git -C app rev-parse origin/main")); got != outside {
		t.Errorf("the fetch brought %s, the upstream has %s", got, outside)
	}

	// A new branch of a repository whose old history holds secrets.
	b.must(`git -C app switch -q -c agent/one origin/main && cd app && echo honest > work.txt && git add . && git commit -qm "Do the work"`)
	began := time.Now()
	b.must("git -C app push -q -u origin agent/one")
	t.Logf("a push of one commit: %s", time.Since(began).Round(time.Millisecond))
	pushed := strings.TrimSpace(b.must("git -C app rev-parse HEAD"))
	if got := repo.Refs(t)["refs/heads/agent/one"]; got != pushed {
		t.Errorf("the upstream has %q, pushed was %s", got, pushed)
	}

	leak := "AK" + "IA" + upper(16)
	b.must("cd app && printf 'one\\ntwo\\nkey = \"" + leak + "\"\\n' > config.py && git add . && git commit -qm Configure")
	began = time.Now()
	out := b.fails("git -C app push origin agent/one")
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("refused after %s", d)
	}
	for _, text := range []string{"remote: ", "config.py:3", "AWS access key", "rejected"} {
		if !strings.Contains(out, text) {
			t.Errorf("the agent does not read %q in:\n%s", text, out)
		}
	}
	if strings.Contains(out, leak) {
		t.Errorf("the refusal quotes the secret:\n%s", out)
	}
	if got := repo.Refs(t)["refs/heads/agent/one"]; got != pushed {
		t.Errorf("the upstream moved to %s", got)
	}
	refused := strings.TrimSpace(b.must("git -C app rev-parse HEAD"))
	sidecar := containerOf(t, agent, true)
	kept := docker(t, "exec", sidecar, "sh", "-c", `cd /var/lib/bb/ca/git && ls -A . && for d in $(find . -name objects -type d); do git --git-dir="${d%/objects}" cat-file -e `+refused+` 2>/dev/null && echo "KEPT in $d"; done; true`)
	if strings.Contains(kept, "KEPT") || strings.Contains(kept, "push-") {
		t.Errorf("the gate keeps of a refused push:\n%s", kept)
	}

	log := h.must("git", "log", agent)
	log.says(t, "accepted", "refused", "refs/heads/agent/one", "AWS access key")
	if strings.Contains(log.all(), leak) {
		t.Errorf("the log holds the secret: %s", log)
	}
	for ref, id := range before {
		if got := repo.Refs(t)[ref]; ref != "refs/heads/main" && got != id {
			t.Errorf("%s went from %s to %q", ref, id, got)
		}
	}
	f.keyIsNowhere(t, agent)

	// In place: another rule, and none at all.
	container := docker(t, "inspect", "-f", "{{.Id}}", containerOf(t, agent, false))
	b.fails("cd app && git reset -q --hard " + pushed + " && git push origin HEAD:refs/heads/main")
	f.declare(h, "push: {allow: [refs/heads/main]}", repo)
	h.must("apply", "-y").says(t, "git")
	b.must("cd app && git push -q origin HEAD:refs/heads/main")
	f.declare(h, "")
	h.must("apply", "-y")
	h.settled()
	if out := b.fails("timeout 30 git -C app fetch"); !strings.Contains(out, "fatal") {
		t.Errorf("a remote that is gone: %s", out)
	}
	if got := b.shell("git config --global --list").all(); strings.Contains(got, "insteadof") {
		t.Errorf("rewrite rules of a remote that is gone: %s", got)
	}
	if now := docker(t, "inspect", "-f", "{{.Id}}", containerOf(t, agent, false)); now != container {
		t.Error("the agent was replaced")
	}
}

// TestGitUpstreamFails: each way in which an upstream fails is told apart, soon,
// to the agent that fetches.
func TestGitUpstreamFails(t *testing.T) {
	f := newForge(t)
	repo := f.repository("app")
	closed, deaf := repo, repo
	closed.url = strings.Replace(repo.url, f.Address(), f.gateway+":1", 1)
	deaf.url = strings.Replace(repo.url, f.Address(), gittest.Silent(t, f.gateway), 1)
	stranger, other := repo, repo
	stranger.key = f.keyFile(f.StrangerKey)
	other.hostKey = f.WrongHostKey
	missing := repo
	missing.url = f.URL("nothing")
	h := newHome(t)
	var agents []string
	cases := []struct {
		name, want string
		repo       repository
	}{
		{"closed", "cannot reach", closed},
		{"deaf", "cannot reach", deaf},
		{"stranger", "refused the credential", stranger},
		{"other", "host key", other},
		{"missing", "repository", missing},
	}
	for _, c := range cases {
		h.bottle(c.name, "agent_provider: {template: shell}\negress: {network: "+f.network+"}\n"+f.remotes("", c.repo))
		agents = append(agents, h.agent(c.name, c.name, ""))
	}
	h.must("apply", "-y")
	for i, c := range cases {
		began := time.Now()
		out := bottle{t, h, agents[i]}.fails("git clone " + c.repo.url + " there")
		if d := time.Since(began); d > 15*time.Second {
			t.Errorf("%s: fails after %s", c.name, d)
		}
		if !strings.Contains(strings.ToLower(out), c.want) {
			t.Errorf("%s: %s", c.name, out)
		}
	}
}

// TestGitIdentityAndRules: identity and rewrite rules are in one file, the
// agent's own.
func TestGitIdentityAndRules(t *testing.T) {
	f := newForge(t)
	repo := f.repository("app")
	h := newHome(t)
	h.bottle("dev", "agent_provider: {template: shell}\ngit_user: {name: A B, email: a@example.com}\negress: {network: "+f.network+"}\n"+f.remotes("", repo))
	agent := h.agent("coder", "dev", "")
	h.must("apply", "-y")
	got := bottle{t, h, agent}.must("cat ~/.gitconfig; stat -c %U ~/.gitconfig")
	for _, want := range []string{"name = A B", "email = a@example.com", `[url "http://git-gate:9420/origin.git"]`, "insteadOf = " + repo.url, "node"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// upper is so many random capitals, as the names of keys have.
func upper(n int) string {
	s := strings.ToUpper(strings.NewReplacer("0", "G", "1", "H", "8", "Q", "9", "Z").Replace(random(n)))
	return s[1 : n+1]
}

// oldSecrets are files with tokens of many kinds, made up here.
func oldSecrets(n int) []string {
	kinds := []func() string{
		func() string { return "AK" + "IA" + upper(16) },
		func() string { return "gh" + "p_" + random(18)[1:37] },
		func() string { return "gl" + "pat-" + random(10)[1:21] },
		func() string { return "xo" + "xb-" + "123456789012-1234567890123-" + random(12)[1:25] },
	}
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("fixture %d: token = \"%s\"\n", i, kinds[i%len(kinds)]()))
	}
	return texts
}

// keyIsNowhere looks for the private key where it must not be.
func (f *forge) keyIsNowhere(t *testing.T, agent string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(f.Key), "\n")
	private := lines[len(lines)-2] // its last line: of the private half
	inside, beside := containerOf(f.t, agent, false), containerOf(f.t, agent, true)
	if found, n := search(t, inside, private); len(found[0]) > 0 || n == 0 {
		f.t.Errorf("the key is in the bottle (%d processes): %v", n, found)
	}
	for _, c := range []string{inside, beside} {
		for _, said := range [][]string{{"inspect", c}, {"logs", c}} {
			if out := docker(f.t, said...); strings.Contains(out, private) {
				f.t.Errorf("docker %v shows the key", said)
			}
		}
	}
	logs := docker(f.t, "exec", beside, "sh", "-c", "cat /var/lib/bb/ca/log/*")
	if !strings.Contains(logs, "refs/heads/agent/one") {
		f.t.Errorf("the control: no push in the logs: %s", logs)
	}
	if strings.Contains(logs, private) {
		f.t.Error("a log of the sidecar holds the key")
	}
}
