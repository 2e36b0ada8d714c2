package e2e_test

import (
	"slices"
	"strings"
	"testing"
)

// TestClaudeWithItsOwnLogin asserts that a login which somebody makes inside a
// bottle arrives unchanged where the bottle has no auth_token, in each of the
// ways that Claude Code takes one; and never where it has.
func TestClaudeWithItsOwnLogin(t *testing.T) {
	u := newUpstream(t, "api.anthropic.com")
	h := newHome(t)
	value := "oauth-" + random(20)
	h.env = []string{"E2E_CLAUDE_TOKEN=" + value}
	routes := "egress:\n" + u.egress() + "  routes:\n" + u.route("api.anthropic.com", "")
	h.bottle("own", "agent_provider: {template: claude}\n"+routes)
	agent := h.agent("own", "own", "")
	h.must("apply", "-y")
	own, key := "sk-ant-oat01-"+random(20), "sk-ant-api03-"+random(20)

	// turn runs one and returns what the API saw of its login.
	turn := func(args ...string) (bearers, keys []string) {
		t.Helper()
		now := u.since()
		r := h.runWith("ping", append([]string{"exec", agent, "--"}, args...)...)
		if !strings.Contains(r.stdout, "pong: ") {
			t.Fatalf("want the fake's text on standard output: %s", r)
		}
		for _, s := range now() {
			if strings.HasPrefix(s.Path, "/v1/messages") {
				bearers = append(bearers, s.Authorization)
				keys = append(keys, s.Header["X-Api-Key"]...)
			}
		}
		return slices.Compact(bearers), slices.Compact(keys)
	}
	const variable = "CLAUDE_CODE_OAUTH_TOKEN="
	claude := []string{"claude", "--dangerously-skip-permissions", "-p"}
	inEnv := func(v string) []string { return append([]string{"env", v}, claude...) }

	t.Run("in the environment", func(t *testing.T) {
		if bearers, keys := turn(inEnv(variable + own)...); !slices.Equal(bearers, []string{"Bearer " + own}) || len(keys) > 0 {
			t.Errorf("the API saw %q and keys %q", bearers, keys)
		}
	})
	t.Run("an API key", func(t *testing.T) {
		if bearers, keys := turn(inEnv("ANTHROPIC_API_KEY=" + key)...); !slices.Equal(keys, []string{key}) || !slices.Equal(bearers, []string{""}) {
			t.Errorf("the API saw %q and keys %q", bearers, keys)
		}
	})
	t.Run("in the settings", func(t *testing.T) {
		settings := asJSON(map[string]any{"env": map[string]string{"CLAUDE_CODE_OAUTH_TOKEN": own}})
		if r := h.runWith(settings, "exec", agent, "--", "sh", "-c", "mkdir -p ~/.claude && cat > ~/.claude/settings.json"); r.code != 0 {
			t.Fatal(r)
		}
		if bearers, _ := turn(claude...); !slices.Equal(bearers, []string{"Bearer " + own}) {
			t.Errorf("the API saw %q", bearers)
		}
	})
	t.Run("never beside auth_token", func(t *testing.T) {
		h.bottle("own", "agent_provider: {template: claude, auth_token: E2E_CLAUDE_TOKEN}\n"+routes)
		h.must("apply", "-y", "--force")
		for _, way := range []string{variable + own, "ANTHROPIC_API_KEY=" + key, "ANTHROPIC_AUTH_TOKEN=" + own} {
			if bearers, keys := turn(inEnv(way)...); !slices.Equal(bearers, []string{"Bearer " + value}) || len(keys) > 0 {
				t.Errorf("%.20s: the API saw %q and keys %q", way, bearers, keys)
			}
		}
		for _, s := range u.seen()[len(u.seen())-1:] {
			for name, v := range s.Header {
				if joined := strings.Join(v, " "); strings.Contains(joined, own) || strings.Contains(joined, key) {
					t.Errorf("%s carries a login made by hand", name)
				}
			}
		}
	})
}
