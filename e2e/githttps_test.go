package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress/gitgate/gittest"
)

// TestGitOverHTTPS: an upstream behind TLS and a token, which the agent uses and
// never has.
func TestGitOverHTTPS(t *testing.T) {
	name := "forge-" + random(4)
	_, gateway := network(t, name)
	s := gittest.NewHTTPS(t, gittest.Options{Listen: gateway})
	repo := gittest.NewRepo(t, s.Root, "app")
	repo.Git(t, "config", "http.receivepack", "true")
	repo.Commit(t, "main", "Begin", map[string]string{"README.md": "hello\n"})
	roots := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(roots, []byte(s.Roots), 0o600); err != nil {
		t.Fatal(err)
	}
	url := s.URL("app")
	h := newHome(t)
	h.env = []string{"E2E_FORGE=" + s.User + ":" + s.Token}
	h.bottle("dev", "agent_provider: {template: shell}\negress: {network: "+name+", upstream_ca: "+roots+"}\n"+
		"git:\n  remotes:\n    origin: {upstream: "+url+", token_ref: E2E_FORGE}\n")
	agent := h.agent("coder", "dev", "")
	h.must("plan", agent).says(t, "git gate", "origin -> "+s.Addr)
	h.must("apply", "-y")
	h.settled()
	b := bottle{t, h, agent}

	b.must("git clone -q " + url + " app && cd app && git switch -q -c agent/one && echo x > x && git add x && git commit -qm x && git push -q origin agent/one")
	pushed := strings.TrimSpace(b.must("git -C app rev-parse HEAD"))
	before := repo.Refs(t)
	if got := before["refs/heads/agent/one"]; got != pushed {
		t.Errorf("the upstream has %q, pushed was %s", got, pushed)
	}
	leak := "AK" + "IA" + upper(16)
	refused := b.fails("cd app && echo " + leak + " > key && git add key && git commit -qm key && git push origin agent/one")
	if !strings.Contains(refused, "remote: ") || !strings.Contains(refused, "key:1") {
		t.Errorf("the agent reads: %s", refused)
	}
	if d := cmp.Diff(before, repo.Refs(t)); d != "" {
		t.Errorf("the upstream changed: %s", d)
	}

	// Its own login does not help it: with one of its own, and past the gate.
	b.fails("git ls-remote " + strings.Replace(url, "https://", "https://me:mine@", 1))
	logins := s.Logins.Load()
	s.Fail(401)
	if out := b.fails("git -C app fetch"); !strings.Contains(out, "refused the credential") {
		t.Errorf("what a 401 says: %s", out)
	}
	if s.Logins.Load() == logins {
		t.Error("the control: nobody logged in")
	}
	s.Fail(0)
	b.must("git -C app fetch -q")

	inside, beside := containerOf(t, agent, false), containerOf(t, agent, true)
	if found, n := search(t, inside, s.Token); len(found[0]) > 0 || n == 0 {
		t.Errorf("the token is in the bottle (%d processes): %v", n, found)
	}
	texts := map[string]string{
		"bb git log":   h.must("git", "log", agent).all(),
		"bb info":      h.must("info", agent).all(),
		"what it said": refused,
		"sidecar logs": docker(t, "exec", beside, "sh", "-c", "cat /var/lib/bb/ca/log/*"),
		"its files":    docker(t, "exec", beside, "sh", "-c", "grep -rlF "+s.Token[1:]+" /etc /home /root /tmp /run /var /opt /usr/local 2>/dev/null; true"),
	}
	for _, c := range []string{inside, beside} {
		texts["inspect "+c], texts["logs "+c] = docker(t, "inspect", c), docker(t, "logs", c)
	}
	for where, text := range texts {
		if strings.Contains(text, s.Token) {
			t.Errorf("the token is in %s", where)
		}
	}
	if !strings.Contains(texts["bb git log"], "agent/one") || !strings.Contains(texts["sidecar logs"], "agent/one") {
		t.Errorf("the control: no push in the logs:\n%s", texts["bb git log"])
	}
	if files := texts["its files"]; files != "" {
		t.Errorf("files of the sidecar hold the token: %s", files)
	}
}
