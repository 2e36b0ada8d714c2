package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// hostLogin is an auth.json whose tokens end when they say.
func hostLogin(access, identity time.Time, edits ...func(map[string]any)) []byte {
	account := map[string]any{
		"chatgpt_account_id": "account-1", "chatgpt_plan_type": "plus", "chatgpt_user_id": "user-1",
		"user_id": "user-1", "groups": []string{"secret-group"}, "organization": "secret-org",
	}
	m := map[string]any{
		"auth_mode": "chatgpt", "OPENAI_API_KEY": nil,
		"tokens": map[string]any{
			"access_token":  dummyJWT(map[string]any{"exp": access.Unix(), accountClaim: account, "jti": "real-access"}),
			"id_token":      dummyJWT(map[string]any{"exp": identity.Unix(), accountClaim: account, "email": "person@example.com"}),
			"refresh_token": "real-refresh", "account_id": "account-1",
		},
		"last_refresh": "2026-11-01T00:00:00Z",
	}
	for _, e := range edits {
		e(m)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func forwarding(text []byte, err error) Input {
	return Input{Forward: true, Now: now, Answers: map[string]Answer{
		codexLogin: {Path: "/home/u/.codex/auth.json", Text: text, Err: err},
	}}
}

func TestCodexWithoutForwarding(t *testing.T) {
	p := provide(t, "codex", Input{Now: now})
	want := []egress.Route{
		{Host: "api.openai.com", Port: 443, TLSPassthrough: true, WebSocket: true, Source: "provider codex", DLP: &egress.DLP{Patterns: "redact"}},
		{Host: "chatgpt.com", Port: 443, TLSPassthrough: true, WebSocket: true, Source: "provider codex", DLP: &egress.DLP{Patterns: "redact"}},
	}
	if d := cmp.Diff(want, p.Routes); d != "" {
		t.Error(d)
	}
	for _, f := range p.Files {
		if strings.HasSuffix(f.Path, "auth.json") {
			t.Error("a login appears from nowhere")
		}
	}
	template, _ := Builtin("codex")
	if asks := template.Wants(Input{}); len(asks) != 0 {
		t.Errorf("it asks for %v", asks)
	}
}

// Source: Codex 0.169: keys that its --strict-config takes, the directory that
// its skills moved to, and arguments that the end-to-end tests run.
func TestCodexIsSetUp(t *testing.T) {
	p := provide(t, "codex", Input{Now: now})
	want := `check_for_update_on_startup = false

[analytics]
enabled = false

[features]
daemon_auto_start = false

[projects."/home/node"]
trust_level = "trusted"

[projects."/home/node/workspace"]
trust_level = "trusted"
`
	if len(p.Files) != 2 || p.Files[0].Mode != 0o700 || !p.Files[0].Dir || p.Files[1].Mode != 0o600 {
		t.Fatalf("files %+v", p.Files)
	}
	if d := cmp.Diff(want, string(p.Files[1].Content)); d != "" {
		t.Error(d)
	}
	if p.SkillsDir != "/home/node/.agents/skills" || p.PromptFile != "/home/node/.codex/AGENTS.md" || len(p.Prompted) > 0 {
		t.Errorf("skills %s, prompt %s %v", p.SkillsDir, p.PromptFile, p.Prompted)
	}
	for want, argv := range map[string][]string{
		"codex --dangerously-bypass-approvals-and-sandbox":                                            p.Program.Interactive,
		"codex --dangerously-bypass-approvals-and-sandbox resume --last --include-non-interactive":    p.Program.Resume,
		"codex exec --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check resume --last -": p.Program.HeadlessResume,
		"codex exec --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check -":               p.Program.Headless,
	} {
		if got := strings.Join(argv, " "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if len(p.Program.Verify) > 0 {
		t.Error("a login that nobody lends is checked")
	}
}

// Source: reference behaviours of codex. Mode, shape and account stay, every
// token is a dummy, both end when the real access token does.
func TestCodexLendsTheLogin(t *testing.T) {
	ends := now.Add(240 * time.Hour)
	text := hostLogin(ends, now.Add(time.Hour))
	p := provide(t, "codex", forwarding(text, nil))
	if len(p.Problems) > 0 {
		t.Fatal(p.Problems)
	}
	for _, r := range p.Routes {
		if d := cmp.Diff(&egress.Auth{Scheme: "Bearer", TokenRef: codexRef}, r.Auth); d != "" || !r.TLSPassthrough {
			t.Errorf("%s: %s", r.Host, d)
		}
	}
	var real authFile
	if err := json.Unmarshal(text, &real); err != nil {
		t.Fatal(err)
	}
	if p.Values[codexRef] != real.Tokens.AccessToken {
		t.Error("the value is not the host's token")
	}
	if len(p.Logins) != 1 || !p.Logins[0].Expires.Equal(ends) {
		t.Errorf("logins %v", p.Logins)
	}
	var given authFile
	var file string
	for _, f := range p.Files {
		if strings.HasSuffix(f.Path, "/auth.json") {
			file = string(f.Content)
			if err := json.Unmarshal(f.Content, &given); err != nil {
				t.Fatal(err)
			}
			if f.Mode != 0o600 || f.Part != "login" {
				t.Errorf("mode %o, part %q", f.Mode, f.Part)
			}
		}
	}
	if given.AuthMode != "chatgpt" || given.APIKey != nil || given.Tokens.AccountID != "account-1" {
		t.Errorf("%+v", given)
	}
	for _, token := range []string{given.Tokens.AccessToken, given.Tokens.IDToken} {
		c, ok := jwtClaims(token)
		if !ok || c.Expires != ends.Unix() {
			t.Errorf("a dummy ends at %d, want %d", c.Expires, ends.Unix())
		}
		want := map[string]string{
			"chatgpt_account_id": "account-1", "chatgpt_plan_type": "plus", "chatgpt_user_id": "user-1", "user_id": "user-1",
		}
		if d := cmp.Diff(want, c.Account); d != "" {
			t.Error(d)
		}
	}
	for _, secret := range []string{real.Tokens.AccessToken, real.Tokens.IDToken, "real-refresh", "person@example.com", "secret-org"} {
		if strings.Contains(file, secret) {
			t.Errorf("the bottle gets %.20s", secret)
		}
	}
	if again := provide(t, "codex", forwarding(text, nil)); cmp.Diff(p.Files, again.Files) != "" {
		t.Error("the same login makes another file")
	}
}

func TestCodexLoginProblems(t *testing.T) {
	good := now.Add(time.Hour)
	tokens := func(edit func(map[string]any)) func(map[string]any) {
		return func(m map[string]any) { edit(m["tokens"].(map[string]any)) }
	}
	for name, tt := range map[string]struct {
		text []byte
		err  error
		want string
	}{
		"missing":    {nil, fs.ErrNotExist, "codex is not logged in on this machine: /home/u/.codex/auth.json does not exist (log in on this machine with 'codex login', or remove agent_provider.forward_host_credentials)"},
		"unreadable": {nil, errors.New("permission denied"), "cannot be read: permission denied"},
		"not JSON":   {[]byte("hello"), nil, "is not what codex writes"},
		"a list":     {[]byte("[]"), nil, "is not what codex writes"},
		"API key": {hostLogin(good, good, func(m map[string]any) {
			m["auth_mode"], m["OPENAI_API_KEY"] = "apikey", "sk-secret-value"
			delete(m, "tokens")
		}), nil, "is not a ChatGPT login (log in with 'codex login' and an account, or give an API key by a route's auth)"},
		"API key without mode": {hostLogin(good, good, func(m map[string]any) {
			m["OPENAI_API_KEY"] = "sk-secret-value"
			delete(m, "auth_mode")
			delete(m, "tokens")
		}), nil, "is not a ChatGPT login"},
		"no tokens":     {hostLogin(good, good, func(m map[string]any) { delete(m, "tokens") }), nil, "holds no token"},
		"empty token":   {hostLogin(good, good, tokens(func(m map[string]any) { m["access_token"] = "" })), nil, "holds no token"},
		"not a JWT":     {hostLogin(good, good, tokens(func(m map[string]any) { m["access_token"] = "secret-value" })), nil, "says no expiry"},
		"no expiry":     {hostLogin(good, good, tokens(func(m map[string]any) { m["access_token"] = dummyJWT(map[string]any{}) })), nil, "says no expiry"},
		"expired":       {hostLogin(now.Add(-time.Second), good), nil, "expired 2026-11-23 11:59:59 UTC (run codex once on this machine"},
		"expires now":   {hostLogin(now, good), nil, "expired"},
		"wrong payload": {hostLogin(good, good, tokens(func(m map[string]any) { m["access_token"] = "a.secret-value!.c" })), nil, "says no expiry"},
	} {
		p := provide(t, "codex", forwarding(tt.text, tt.err))
		if len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Error(), tt.want) {
			t.Errorf("%s: %v", name, p.Problems)
			continue
		}
		if text := fmt.Sprint(p.Problems); strings.Contains(text, "secret-value") || strings.ContainsAny(text, "\n") {
			t.Errorf("%s: %s", name, text)
		}
		if len(p.Values) > 0 || len(p.Program.Verify) > 0 {
			t.Errorf("%s: something is lent", name)
		}
		for _, r := range p.Routes {
			if r.Auth == nil {
				t.Errorf("%s: %s would go out unauthenticated", name, r.Host)
			}
		}
	}
}

func FuzzCodexLogin(f *testing.F) {
	f.Add(hostLogin(now.Add(time.Hour), now))
	f.Add([]byte(`{"tokens":{"access_token":"a.e30.c"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p := provide(t, "codex", forwarding(text, nil))
		if len(p.Problems) == 0 && (p.Values[codexRef] == "" || !p.Logins[0].Expires.After(now)) {
			t.Error("an unusable login passes")
		}
	})
}
