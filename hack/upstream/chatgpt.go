package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"
)

// account is the one that the fake backend knows.
const account = "account-1"

// chatgptAPI plays the part of the ChatGPT backend that a turn of Codex needs:
// where the account lives, and the responses. Everything else is a 404, which
// Codex is known to shrug off.
func chatgptAPI(responses *responsesAPI) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /backend-api/wham/accounts/check", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, map[string]any{
			"accounts": []any{map[string]any{
				"id": account, "plan_type": "plus", "structure": "personal",
				"workspace_backend_origin": "https://chatgpt.com", "account_routing_override": "NO_CONSTRAINT",
			}},
			"account_ordering": []string{account}, "default_account_id": account,
		})
	})
	mux.HandleFunc("GET /backend-api/codex/responses", responses.socket)
	mux.HandleFunc("POST /backend-api/codex/responses", responses.post)
	return mux
}

// openaiAPI is the API that a login by key uses.
func openaiAPI(responses *responsesAPI) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/responses", responses.socket)
	mux.HandleFunc("POST /v1/responses", responses.post)
	return mux
}

// loginAPI is the issuer: it lets anybody in who asks with a device code, and
// knows no refresh token.
func loginAPI() http.Handler {
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		writeJSON(w, v)
	}
	mux.HandleFunc("POST /api/accounts/deviceauth/usercode", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"device_auth_id": "device-1", "user_code": "CODE-12345", "interval": "1"})
	})
	mux.HandleFunc("POST /api/accounts/deviceauth/token", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{
			"authorization_code": "authorization-1", "code_challenge": "challenge-1", "code_verifier": "verifier-1",
		})
	})
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "authorization_code" {
			reply(w, http.StatusUnauthorized, map[string]any{"error": map[string]any{"code": "refresh_token_invalidated"}})
			return
		}
		token := issuedToken()
		reply(w, http.StatusOK, map[string]any{"id_token": token, "access_token": token, "refresh_token": "refresh-of-the-fake"})
	})
	return mux
}

// issuedToken is what somebody holds who logged in here.
func issuedToken() string {
	segment := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // only plain data reaches this
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return segment(map[string]string{"alg": "none", "typ": "JWT"}) + "." + segment(map[string]any{
		"exp": time.Now().Add(time.Hour).Unix(), "email": "inside@example.com", "jti": "issued-inside",
		"https://api.openai.com/auth": map[string]string{
			"chatgpt_account_id": account, "chatgpt_plan_type": "plus", "chatgpt_user_id": "user-1", "user_id": "user-1",
		},
	}) + "." + base64.RawURLEncoding.EncodeToString([]byte("signature"))
}
