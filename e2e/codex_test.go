package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCodexWithTheHostsLogin runs the real Codex from its npm package against
// a fake of its backend, with the login of this machine lent to the bottle:
// the token reaches the backend, and nothing that an agent can read holds it.
func TestCodexWithTheHostsLogin(t *testing.T) {
	u := newUpstream(t, codexHosts...)
	h := newHome(t)
	login := newHostLogin(t, h)
	literal := "literal-" + random(12)
	agent, token := lendsTheLogin(t, h, u, login, literal)

	t.Run("never holds the token", func(t *testing.T) { neverHolds(t, h, u, agent, token[len(token)-40:], literal) })
	t.Run("resumes", func(t *testing.T) { resumes(t, h, u, agent) })
	t.Run("opens without a question", func(t *testing.T) {
		const bypass = "codex --dangerously-bypass-approvals-and-sandbox "
		for i, args := range []string{"'open mark-screen'", "resume --last 'go on mark-again'"} {
			mark := []string{"mark-screen", "mark-again"}[i]
			now := u.since()
			ctx, cancel := context.WithCancel(t.Context())
			cmd := h.command(ctx, "exec", agent, "--", "env", "TERM=xterm", "script", "-qec", bypass+args, "/dev/null")
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the backend is asked from a terminal", func() bool {
				return slices.ContainsFunc(now(), func(s seen) bool {
					return slices.Contains(s.Marks, mark) && slices.Contains(s.Marks, "mark-screen")
				})
			})
			cancel()
			cmd.Wait() //nolint:errcheck // it was interrupted
			if paths := issuerSaw(now()); len(paths) > 0 {
				t.Errorf("a turn asked the issuer for %v", paths)
			}
		}
		// Its daemon runs a copy of the program from there.
		if r := h.run("exec", agent, "--", "ls", "/home/node/.codex/packages"); r.code == 0 {
			t.Errorf("something outlives the program: %s", r)
		}
	})
	t.Run("follows the host's login", func(t *testing.T) { rotates(t, h, u, login, agent, token) })
	t.Run("follows its manifest", func(t *testing.T) {
		if r := h.runWith("---\nname: mine\ndescription: mark-mine\n---\n", "exec", agent, "--", "sh", "-c",
			"mkdir -p ~/.agents/skills/mine && cat > ~/.agents/skills/mine/SKILL.md"); r.code != 0 {
			t.Fatal(r)
		}
		h.write("agents/"+agent+".md", "---\nbottle: codex\n---\nNever forget mark-other.\n")
		h.must("plan", "--json").says(t, "skills_changed", "prompt_changed")
		id := containerID(t, containerOf(t, agent, false))
		h.must("apply", "-y")
		h.settled()
		if now := containerID(t, containerOf(t, agent, false)); now != id {
			t.Errorf("not in place: %s is now %s", id, now)
		}
		now := u.since()
		h.must("run", agent, "-p", "again mark-follows")
		if want := []string{"mark-follows", "mark-mine", "mark-other"}; !slices.Equal(codexTurn(t, now(), "mark-follows").Marks, want) {
			t.Errorf("the model was told %v, want %v", codexTurn(t, now(), "mark-follows").Marks, want)
		}
	})
	t.Run("a refresh would be noticed", func(t *testing.T) {
		past := codexToken(time.Now().Add(-time.Hour), "by-hand")
		writeInside(t, h, agent, codexLogin(past, past, "egress-placeholder"))
		now := u.since()
		h.run("run", agent, "-p", "again mark-past")
		if !slices.Contains(issuerSaw(now()), "/oauth/token") {
			t.Errorf("a login that ended long ago is not refreshed: the check above proves nothing\n%s", brief(now()))
		}
	})
}

// lendsTheLogin brings a Codex up that has the login of this machine, and has
// it answer.
func lendsTheLogin(t *testing.T, h *home, u *upstream, login *hostLogin, literal string) (agent, token string) {
	t.Helper()
	ends := time.Now().Add(240 * time.Hour).Truncate(time.Second)
	token = login.write(ends, time.Now().Add(time.Hour))
	h.bottle("codex", "agent_provider: {template: codex, forward_host_credentials: true}\nenv: {E2E_LITERAL: "+literal+"}\n"+
		u.codexEgress())
	skill := h.skill("mark-skill")
	agent = h.agent("codex", "codex", "Never forget mark-prompt.")
	h.write("agents/"+agent+".md", "---\nbottle: codex\nskills: ["+skill+"]\n---\nNever forget mark-prompt.\n")

	h.must("plan").says(t, "of this machine, until "+ends.Local().Format("2006-01-02 15:04"), "auth Bearer $BOT_BOTTLE_CODEX_HOST_ACCESS_TOKEN")
	r := h.must("run", agent, "-p", "ping mark-first")
	if !strings.Contains(r.stdout, "pong: ping mark-first\n") {
		t.Fatalf("want the fake's text on standard output: %s", r)
	}
	all := u.seen()
	turn := codexTurn(t, all, "mark-first")
	if !slices.Contains(turn.Marks, "mark-prompt") || !slices.Contains(turn.Marks, "mark-skill") {
		t.Errorf("the model was not told of the prompt and the skill: %v", turn.Marks)
	}
	if got := turn.Header["Chatgpt-Account-Id"]; !slices.Equal(got, []string{"account-1"}) {
		t.Errorf("account %q", got)
	}
	authorized(t, all, "chatgpt.com", "Bearer "+token)
	if paths := issuerSaw(all); len(paths) > 0 {
		t.Errorf("a turn asked the issuer for %v", paths)
	}
	h.must("exec", agent, "--", "codex", "login", "status").says(t, "Logged in using ChatGPT")
	stoodIn(t, h, agent, ends)
	h.must("info", agent).says(t, "until "+ends.Local().Format("2006-01-02 15:04"))
	return agent, token
}

// resumes goes on with the last conversation, which the backend is told again.
func resumes(t *testing.T, h *home, u *upstream, agent string) {
	t.Helper()
	now := u.since()
	r := h.runWith("and mark-second", "exec", agent, "--", "codex", "exec", "--dangerously-bypass-approvals-and-sandbox",
		"--skip-git-repo-check", "resume", "--last", "-")
	if r.code != 0 {
		t.Fatal(r)
	}
	if turn := codexTurn(t, now(), "mark-second"); !slices.Contains(turn.Marks, "mark-first") && !slices.Contains(turn.Marks, "mark-slow") {
		t.Errorf("the earlier turn is forgotten: %v", turn.Marks)
	}
}

// stoodIn looks at the login that the agent got.
func stoodIn(t *testing.T, h *home, agent string, ends time.Time) {
	t.Helper()
	h.must("exec", agent, "--", "stat", "-c", "%n %U %a", "/home/node/.codex", "/home/node/.codex/auth.json").
		says(t, ".codex node 700\n", "auth.json node 600\n")
	file := loginInside(t, h, agent)
	if file.AuthMode != "chatgpt" || file.APIKey != nil || file.Tokens.Account != "account-1" {
		t.Errorf("the stand-in is not of the host's shape: %+v", file)
	}
	for name, token := range map[string]string{"access_token": file.Tokens.Access, "id_token": file.Tokens.Identity} {
		if got := tokenEnds(t, token); got != ends.Unix() {
			t.Errorf("%s ends at %d, the host's access token at %d", name, got, ends.Unix())
		}
	}
}

// neverHolds searches everything of a bottle in the middle of a turn.
func neverHolds(t *testing.T, h *home, u *upstream, agent, value, literal string) {
	bottle, sidecar := containerOf(t, agent, false), containerOf(t, agent, true)
	now := u.since()
	turn := make(chan result)
	go func() { turn <- h.run("run", agent, "-p", "think-15s mark-slow") }()
	eventually(t, "the backend thinks", func() bool {
		return slices.ContainsFunc(now(), func(s seen) bool { return slices.Contains(s.Marks, "mark-slow") })
	})
	holdsOnly(t, bottle, value, literal)
	if r := <-turn; r.code != 0 {
		t.Errorf("the slow turn: %s", r)
	}
	for _, c := range []string{bottle, sidecar} {
		absentOnEngine(t, c, value)
	}
	absentFrom(t, value, "save", docker(t, "inspect", "--format", "{{.Image}}", bottle))
	for _, args := range [][]string{{"plan"}, {"plan", "--json"}, {"info", agent, "--json"}, {"logs", agent}, {"logs", agent, "--egress"}} {
		absent(t, "bb "+args[0], strings.NewReader(h.must(args...).all()), value)
	}
	absentBelow(t, h.dir, value)
}

// rotates changes the host's login under a running bottle.
func rotates(t *testing.T, h *home, u *upstream, login *hostLogin, agent, before string) {
	bottle := containerOf(t, agent, false)
	same := func() string {
		return docker(t, "inspect", "--format", "{{.Id}} {{.State.Pid}} {{.State.StartedAt}}", bottle)
	}
	was := same()
	ends := time.Now().Add(300 * time.Hour).Truncate(time.Second)
	token := login.write(ends, time.Now().Add(-time.Minute)) // identity tokens end early
	r := h.must("plan", "--json")
	r.says(t, "login_changed", "token_rotated")
	absent(t, "the plan", strings.NewReader(r.all()), token)
	h.must("apply", "-y")
	h.settled()
	if now := same(); now != was {
		t.Errorf("not in place: %s is now %s", was, now)
	}
	stoodIn(t, h, agent, ends)
	now := u.since()
	h.must("run", agent, "-p", "again mark-rotated")
	codexTurn(t, now(), "mark-rotated")
	authorized(t, now(), "chatgpt.com", "Bearer "+token)
	if paths := issuerSaw(now()); len(paths) > 0 {
		t.Errorf("a turn asked the issuer for %v", paths)
	}
	h.must("exec", agent, "--", "codex", "login", "status").says(t, "Logged in using ChatGPT")

	// A login that ends on the host is no reason to touch what runs.
	login.write(time.Now().Add(-time.Minute), time.Now())
	h.must("plan").says(t, "expired", "run codex once on this machine")
	h.fails("apply", "-y").says(t, "expired")
	now = u.since()
	h.must("exec", agent, "--", "codex", "login", "status")
	r = h.runWith("still mark-expired", "exec", agent, "--", "codex", "exec", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check", "-")
	if r.code != 0 {
		t.Fatal(r)
	}
	authorized(t, now(), "chatgpt.com", "Bearer "+token)
	if before == token {
		t.Error("the login did not rotate")
	}
	login.write(ends, ends)
	h.must("apply", "-y")
}

// TestCodexOverHTTPS lends a login where WebSockets are refused, takes it away
// again in place, and lets the agent log in by itself: its own login arrives
// unchanged, whichever way it came to it.
func TestCodexOverHTTPS(t *testing.T) {
	u := newUpstream(t, codexHosts...)
	h := newHome(t)
	login := newHostLogin(t, h)
	token := login.write(time.Now().Add(24*time.Hour), time.Now().Add(time.Hour))
	routes := u.codexEgress()
	narrow := strings.Replace(routes, "websocket: true\n", "websocket: true\n      path_allowlist: [/backend-api/codex, /backend-api/wham]\n", 1)
	h.bottle("codex", "agent_provider: {template: codex, forward_host_credentials: true}\n"+narrow)
	agent := h.agent("codex", "codex", "")
	docker(t, "kill", "-s", "USR1", u.name)
	r := h.must("run", agent, "-p", "ping")
	if !strings.Contains(r.stdout, "pong: compressed\n") {
		t.Errorf("want the fake's text on standard output: %s", r)
	}
	if !slices.ContainsFunc(u.seen(), func(s seen) bool { return s.Method == "POST" && strings.HasSuffix(s.Path, "/codex/responses") }) {
		t.Errorf("no turn by POST in:\n%s", brief(u.seen()))
	}
	authorized(t, u.seen(), "chatgpt.com", "Bearer "+token)
	docker(t, "kill", "-s", "USR2", u.name)
	h.must("exec", agent, "--", "curl", "-sS", "https://chatgpt.com/backend-api/conversations").says(t, "egress: ")
	for _, s := range u.seen() {
		if s.Host == "chatgpt.com" && !strings.HasPrefix(s.Path, "/backend-api/codex") && !strings.HasPrefix(s.Path, "/backend-api/wham") {
			t.Errorf("a path that the manifest leaves out: %s", s.Path)
		}
	}

	bottle := containerOf(t, agent, false)
	id := containerID(t, bottle)
	h.bottle("codex", "agent_provider: {template: codex}\n"+routes)
	h.must("plan", "--json").says(t, "login_changed", "egress_changed")
	h.must("apply", "-y")
	h.settled()
	if now := containerID(t, bottle); now != id {
		t.Errorf("not in place: %s is now %s", id, now)
	}
	if r := h.run("exec", agent, "--", "codex", "login", "status"); r.code == 0 || !strings.Contains(r.all(), "Not logged in") {
		t.Errorf("the stand-in outlives what it stood for: %s", r)
	}

	turn := func(mark, host, value string) {
		t.Helper()
		now := u.since()
		h.must("run", agent, "-p", "own "+mark)
		if got := codexTurn(t, now(), mark); got.Host != host || got.Authorization != value {
			t.Errorf("%s saw the authorization %.60q", got.Host, got.Authorization)
		}
	}
	t.Run("a login written by hand", func(t *testing.T) {
		own := codexToken(time.Now().Add(time.Hour), "own-"+random(8))
		writeInside(t, h, agent, codexLogin(own, own, "own-refresh"))
		turn("mark-hand", "chatgpt.com", "Bearer "+own)
	})
	t.Run("a login by device code", func(t *testing.T) {
		h.must("exec", agent, "--", "codex", "logout")
		h.must("exec", agent, "--", "codex", "login", "--device-auth").says(t, "Successfully logged in")
		h.must("exec", agent, "--", "codex", "login", "status").says(t, "Logged in using ChatGPT")
		turn("mark-device", "chatgpt.com", "Bearer "+loginInside(t, h, agent).Tokens.Access)
	})
	t.Run("an API key", func(t *testing.T) {
		key := "sk-own-" + random(12)
		if r := h.runWith(key, "exec", agent, "--", "codex", "login", "--with-api-key"); r.code != 0 {
			t.Fatal(r)
		}
		turn("mark-key", "api.openai.com", "Bearer "+key)
	})
	h.settled() // what the agent did with its login is no difference
}

// TestCodexLoginIsNotThere asserts that a plan notes, and an apply refuses,
// each kind of login that cannot be lent, before anything is made.
func TestCodexLoginIsNotThere(t *testing.T) {
	h := newHome(t)
	login := newHostLogin(t, h)
	h.bottle("codex", "agent_provider: {template: codex, forward_host_credentials: true}")
	h.agent("codex", "codex", "")
	key := "sk-" + random(16)
	past := codexToken(time.Now().Add(-time.Hour), "past")
	for _, tt := range []struct{ name, text, says string }{
		{"missing", "", "codex login"},
		{"expired", codexLogin(past, past, "refresh"), "run codex once on this machine"},
		{"API key", asJSON(map[string]any{"auth_mode": "apikey", "OPENAI_API_KEY": key}), "codex login"},
		{"malformed", "{" + key, "codex login"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.text == "" {
				if err := os.RemoveAll(filepath.Join(login.dir, "auth.json")); err != nil {
					t.Fatal(err)
				}
			} else {
				login.text(tt.text)
			}
			h.must("plan").says(t, tt.says, "apply will stop here")
			r := h.fails("apply", "-y")
			r.says(t, tt.says)
			var errors []string
			for line := range strings.Lines(r.stderr) {
				if strings.Contains(line, "login") {
					errors = append(errors, line)
				}
			}
			if len(errors) != 1 {
				t.Errorf("want one line that says what to do: %q", errors)
			}
			absent(t, "the error", strings.NewReader(r.all()), key)
			if left := resources(t, h.id); len(left) > 0 {
				t.Errorf("half-made: %v", left)
			}
		})
	}
}

// codexFile is what the tests read of auth.json.
type codexFile struct {
	AuthMode string  `json:"auth_mode"`
	APIKey   *string `json:"OPENAI_API_KEY"`
	Tokens   struct {
		Access   string `json:"access_token"`
		Identity string `json:"id_token"`
		Account  string `json:"account_id"`
	}
}

func loginInside(t *testing.T, h *home, agent string) (f codexFile) {
	t.Helper()
	r := h.must("exec", agent, "--", "cat", "/home/node/.codex/auth.json")
	if err := json.Unmarshal([]byte(r.stdout), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// writeInside writes the agent's own login, as somebody in the bottle does.
func writeInside(t *testing.T, h *home, agent, text string) {
	t.Helper()
	if r := h.runWith(text, "exec", agent, "--", "sh", "-c", "umask 077; cat > ~/.codex/auth.json"); r.code != 0 {
		t.Fatal(r)
	}
}
