package provider

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// Source: reference behaviours of claude. The route is passthrough with and
// without a token; only with one does it inject, and the agent get a stand-in.
func TestClaude(t *testing.T) {
	bare, err := For("claude", Input{})
	if err != nil {
		t.Fatal(err)
	}
	route := egress.Route{
		Host: "api.anthropic.com", Port: 443, TLSPassthrough: true,
		Strip: []string{"X-Api-Key"}, Source: "provider claude",
	}
	if d := cmp.Diff([]egress.Route{route}, bare.Routes); d != "" {
		t.Error(d)
	}
	if len(bare.HiddenEnv) != 0 || slices.ContainsFunc(bare.Env, func(e spec.Env) bool { return e.Name == "CLAUDE_CODE_OAUTH_TOKEN" }) {
		t.Error("without auth_token there is nothing to hide")
	}
	with, err := For("claude", Input{AuthToken: "MY_TOKEN", HasPrompt: true})
	if err != nil {
		t.Fatal(err)
	}
	route.Auth = &egress.Auth{Scheme: "Bearer", TokenRef: "MY_TOKEN"}
	if d := cmp.Diff([]egress.Route{route}, with.Routes); d != "" {
		t.Error(d)
	}
	if !slices.Contains(with.Env, spec.Env{Name: "CLAUDE_CODE_OAUTH_TOKEN", Kind: spec.EnvProvider, Value: "egress-placeholder"}) {
		t.Error("no placeholder")
	}
	if d := cmp.Diff([]string{"CLAUDE_CODE_OAUTH_TOKEN"}, with.HiddenEnv); d != "" {
		t.Error(d)
	}
	if got := strings.Join(with.Program.Headless, " "); got != "claude --dangerously-skip-permissions --append-system-prompt-file "+spec.PromptFile+" -p" {
		t.Error(got)
	}
	if got := strings.Join(bare.Program.Resume, " "); got != "claude --dangerously-skip-permissions --continue" {
		t.Error(got)
	}
	if !json.Valid(with.Files[0].Content) {
		t.Error("~/.claude.json is not JSON")
	}
}

func TestShellHasNoRoute(t *testing.T) {
	p, err := For("shell", Input{})
	if err != nil || len(p.Routes) != 0 || len(p.Env) != 0 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestUnknownProviderListsTheKnown(t *testing.T) {
	_, err := For("claud", Input{})
	if err == nil || err.Error() != `unknown provider "claud" (agent_provider.template is one of [claude shell])` {
		t.Error(err)
	}
}
