package provider

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/bot-bottle/bb/engine/diag"
)

// codexHostLogin is what bb uses of the host's auth.json.
type codexHostLogin struct {
	access  string // the real token
	expires time.Time
	mode    string
	account string
	// claims are those of the account: which, on which plan. They are no secret.
	claims map[string]string
}

// authFile is the shape of auth.json, as Codex 0.169 writes it.
type authFile struct {
	AuthMode string  `json:"auth_mode"`
	APIKey   *string `json:"OPENAI_API_KEY"`
	Tokens   *struct {
		IDToken      string `json:"id_token"`
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		AccountID    string `json:"account_id"`
	} `json:"tokens"`
	LastRefresh string `json:"last_refresh"`
}

const loginAgain = "log in on this machine with 'codex login', or remove agent_provider.forward_host_credentials"

// accountClaim is the claim that holds the account, in the tokens of Codex.
const accountClaim = "https://api.openai.com/auth"

// accountKeys are the claims of the account that the stand-in keeps.
var accountKeys = []string{"chatgpt_account_id", "chatgpt_plan_type", "chatgpt_user_id", "user_id"}

// readCodexLogin judges the host's login. Its errors quote no part of it.
func readCodexLogin(a Answer, now time.Time) (*codexHostLogin, *diag.Diagnostic) {
	fail := func(hint, format string, args ...any) (*codexHostLogin, *diag.Diagnostic) {
		d := diag.Errorf(format, args...).WithHint("%s", hint)
		return nil, &d
	}
	switch {
	case errors.Is(a.Err, fs.ErrNotExist):
		return fail(loginAgain, "codex is not logged in on this machine: %s does not exist", a.Path)
	case a.Err != nil:
		return fail(loginAgain, "the codex login %s cannot be read: %v", a.Path, a.Err)
	}
	var f authFile
	if json.Unmarshal(a.Text, &f) != nil {
		return fail(loginAgain, "the codex login %s is not what codex writes", a.Path)
	}
	apiKey := f.APIKey != nil && *f.APIKey != ""
	switch {
	case f.AuthMode != "" && f.AuthMode != "chatgpt", f.Tokens == nil && apiKey:
		return fail("log in with 'codex login' and an account, or give an API key by a route's auth",
			"the codex login %s is not a ChatGPT login", a.Path)
	case f.Tokens == nil || f.Tokens.AccessToken == "":
		return fail(loginAgain, "the codex login %s holds no token", a.Path)
	}
	access, ok := jwtClaims(f.Tokens.AccessToken)
	if !ok || access.Expires == 0 {
		return fail(loginAgain, "the codex login %s holds a token that says no expiry", a.Path)
	}
	l := &codexHostLogin{
		access: f.Tokens.AccessToken, expires: time.Unix(access.Expires, 0).UTC(), mode: f.AuthMode,
		account: f.Tokens.AccountID, claims: access.Account,
	}
	if identity, ok := jwtClaims(f.Tokens.IDToken); ok && len(identity.Account) > 0 {
		l.claims = identity.Account
	}
	if !l.expires.After(now) {
		return fail("run codex once on this machine, which renews it, or 'codex login'; then apply again",
			"the codex login %s expired %s", a.Path, l.expires.Format(time.DateTime+" MST"))
	}
	return l, nil
}

// standIn is the auth.json that the agent gets: the host's in mode and shape,
// every token a dummy. Both dummies end when the real token does: an earlier
// end makes Codex refresh with a refresh token that is none, and ask for a
// login.
func (l *codexHostLogin) standIn() []byte {
	token := dummyJWT(map[string]any{
		"exp": l.expires.Unix(), "email": "agent@example.com", accountClaim: l.claims,
	})
	b, err := json.MarshalIndent(map[string]any{
		"auth_mode": orDefault(l.mode, "chatgpt"), "OPENAI_API_KEY": nil,
		"tokens": map[string]string{
			"id_token": token, "access_token": token, "refresh_token": placeholder, "account_id": l.account,
		},
		// Codex refreshes what was refreshed long ago.
		"last_refresh": l.expires.Format(time.RFC3339),
	}, "", "  ")
	if err != nil {
		panic("provider: " + err.Error()) // only plain data reaches this
	}
	return append(b, '\n')
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// claims are what bb reads of a token. The signature is not bb's to judge: the
// service does, when the token is used.
type claims struct {
	Expires int64
	Account map[string]string
}

func jwtClaims(token string) (claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return claims{}, false
	}
	var raw struct {
		Expires int64                      `json:"exp"`
		Account map[string]json.RawMessage `json:"https://api.openai.com/auth"`
	}
	if json.Unmarshal(payload, &raw) != nil {
		return claims{}, false
	}
	c := claims{Expires: raw.Expires, Account: map[string]string{}}
	for _, key := range accountKeys {
		var text string
		if json.Unmarshal(raw.Account[key], &text) == nil && text != "" {
			c.Account[key] = text
		}
	}
	return c, true
}

// dummyJWT has the form of a token and is worth nothing.
func dummyJWT(payload map[string]any) string {
	segment := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic("provider: " + err.Error()) // only plain data reaches this
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return segment(map[string]string{"alg": "none", "typ": "JWT"}) + "." + segment(payload) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(placeholder))
}
