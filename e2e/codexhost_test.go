package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// codexHosts are the names that Codex asks. The last is nobody's route unless
// a bottle declares it.
var codexHosts = []string{"chatgpt.com", "api.openai.com", "auth.openai.com"}

// hostLogin is the login of this machine, in a directory of the test's.
type hostLogin struct {
	t   *testing.T
	dir string
}

func newHostLogin(t *testing.T, h *home) *hostLogin {
	l := &hostLogin{t, t.TempDir()}
	h.env = append(h.env, "CODEX_HOME="+l.dir)
	return l
}

// write makes a login as Codex does, whose tokens end when they say, and
// returns the access token.
func (l *hostLogin) write(access, identity time.Time) string {
	token := codexToken(access, random(20))
	l.text(codexLogin(token, codexToken(identity, random(20)), "refresh-"+random(20)))
	return token
}

func (l *hostLogin) text(text string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, "auth.json"), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func codexLogin(access, identity, refresh string) string {
	return asJSON(map[string]any{
		"auth_mode": "chatgpt", "OPENAI_API_KEY": nil,
		"tokens":       map[string]any{"id_token": identity, "access_token": access, "refresh_token": refresh, "account_id": "account-1"},
		"last_refresh": time.Now().UTC().Format(time.RFC3339),
	})
}

// codexToken has the form of the tokens that Codex gets.
func codexToken(ends time.Time, id string) string {
	segment := func(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(asJSON(v))) }
	return segment(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." + segment(map[string]any{
		"exp": ends.Unix(), "jti": id, "email": "person@example.com",
		"https://api.openai.com/auth": map[string]string{
			"chatgpt_account_id": "account-1", "chatgpt_plan_type": "plus", "chatgpt_user_id": "user-1", "user_id": "user-1",
		},
	}) + "." + base64.RawURLEncoding.EncodeToString([]byte("signed-"+id))
}

// tokenEnds reads when a token ends.
func tokenEnds(t *testing.T, token string) int64 {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %.40q", token)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Exp int64 }
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c.Exp
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only plain data reaches this
	}
	return string(b)
}

// since forgets what was seen before.
func (u *upstream) since() func() []seen {
	n := len(u.seen())
	return func() []seen { return u.seen()[n:] }
}

// codexEgress is a bottle's egress block that leads all of Codex here: its own
// routes, for which only a test has to say where they lead, and the issuer of
// logins.
func (u *upstream) codexEgress() string {
	return "egress:\n" + u.egress() + "  routes:\n" + u.route("chatgpt.com", "websocket: true") +
		u.route("api.openai.com", "websocket: true") + u.route("auth.openai.com", "")
}

// codexTurn is the message that brought a mark to the model over a WebSocket.
func codexTurn(t *testing.T, all []seen, mark string) seen {
	t.Helper()
	for _, s := range all {
		if s.Method == "WEBSOCKET" && strings.HasSuffix(s.Path, "/responses") && slices.Contains(s.Marks, mark) {
			return s
		}
	}
	t.Fatalf("no turn with %s in:\n%s", mark, brief(all))
	return seen{}
}

// authorized asserts that whatever carried a login to these hosts carried this one.
func authorized(t *testing.T, all []seen, host, value string) {
	t.Helper()
	n := 0
	for _, s := range all {
		if s.Host != host {
			continue
		}
		n++
		if s.Authorization != value {
			t.Errorf("%s saw the authorization %.60q on %s %s", host, s.Authorization, s.Method, s.Path)
		}
	}
	if n == 0 {
		t.Errorf("%s saw nothing", host)
	}
}

// issuerSaw lists the paths that the issuer of logins was asked for.
func issuerSaw(all []seen) []string {
	var paths []string
	for _, s := range all {
		if s.Host == "auth.openai.com" {
			paths = append(paths, s.Path)
		}
	}
	return paths
}

func brief(all []seen) string {
	var b strings.Builder
	for _, s := range all {
		b.WriteString(s.Method + " " + s.Host + s.Path + " " + strings.Join(s.Marks, " ") + "\n")
	}
	return b.String()
}

// skill writes a skill of this machine whose description is text, in a home
// directory of the test's own, and returns its name.
func (h *home) skill(text string) string {
	h.t.Helper()
	user, name := h.t.TempDir(), "skill-"+h.id
	h.env = append(h.env, "HOME="+user)
	dir := filepath.Join(user, ".claude", "skills", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	body := "---\nname: " + name + "\ndescription: " + text + "\n---\nDo it.\n"
	if err := os.WriteFile(filepath.Join(dir, "SKILL.md"), []byte(body), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return name
}
