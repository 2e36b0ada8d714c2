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

func provide(t *testing.T, name string, in Input) Provision {
	t.Helper()
	template, ok := Builtin(name)
	if !ok {
		t.Fatalf("no provider %s", name)
	}
	return template.Provide(in)
}

// Source: reference behaviours of claude. The route is passthrough with and
// without a token; only with one does it inject, and the agent get a stand-in.
func TestClaude(t *testing.T) {
	bare := provide(t, "claude", Input{})
	route := egress.Route{
		Host: "api.anthropic.com", Port: 443, TLSPassthrough: true,
		Strip: []string{"X-Api-Key"}, Source: "provider claude", DLP: &egress.DLP{Patterns: "redact"},
	}
	if d := cmp.Diff([]egress.Route{route}, bare.Routes); d != "" {
		t.Error(d)
	}
	if len(bare.HiddenEnv) != 0 || slices.ContainsFunc(bare.Env, func(e spec.Env) bool { return e.Name == "CLAUDE_CODE_OAUTH_TOKEN" }) {
		t.Error("without auth_token there is nothing to hide")
	}
	with := provide(t, "claude", Input{AuthToken: "MY_TOKEN"})
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
	if got := strings.Join(With(with.Program, with.Prompted).Headless, " "); got != "claude --append-system-prompt-file "+spec.PromptFile+" --dangerously-skip-permissions -p" {
		t.Error(got)
	}
	if got := strings.Join(bare.Program.Resume, " "); got != "claude --dangerously-skip-permissions --continue" {
		t.Error(got)
	}
	if got := strings.Join(With(with.Program, with.Prompted).HeadlessResume, " "); got != "claude --append-system-prompt-file "+spec.PromptFile+" --dangerously-skip-permissions --continue -p" {
		t.Error(got)
	}
	if got := bare.Program.Talks; got != "-home-node-workspace/*.jsonl" {
		t.Error(got)
	}
	if !json.Valid(with.Files[0].Content) {
		t.Error("~/.claude.json is not JSON")
	}
}

func TestShellHasNoRoute(t *testing.T) {
	if p := provide(t, "shell", Input{}); len(p.Routes) != 0 || len(p.Env) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestWhoTakesWhat(t *testing.T) {
	if d := cmp.Diff([]string{"claude", "codex", "shell"}, Names()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"claude"}, Taking(KeyAuthToken)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"codex"}, Taking(KeyForward)); d != "" {
		t.Error(d)
	}
}
