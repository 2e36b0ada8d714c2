package provider

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"regexp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

//go:embed claude.Dockerfile
var claudeRecipe string

// placeholder stands where a program wants a token to exist: the sidecar drops
// it and injects the real one.
const placeholder = "egress-placeholder"

var claude = Template{Name: "claude", Takes: []string{KeyAuthToken}, Make: makeClaude}

func makeClaude(in Input) Provision {
	// tls_passthrough also without auth_token: a token that the user sets by
	// hand inside the bottle must arrive unchanged.
	route := egress.Route{
		Host: "api.anthropic.com", Port: 443, TLSPassthrough: true,
		Strip: []string{"X-Api-Key"},
	}
	p := Provision{
		Env: []spec.Env{
			{Name: "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", Kind: spec.EnvProvider, Value: "1"},
			{Name: "DISABLE_ERROR_REPORTING", Kind: spec.EnvProvider, Value: "1"},
			{Name: "DISABLE_AUTOUPDATER", Kind: spec.EnvProvider, Value: "1"},
		},
		Files: []spec.File{{Path: spec.Home + "/.claude.json", Mode: 0o600, Content: onboarded(in)}},
		Program: spec.Program{
			Interactive:    []string{"claude", "--dangerously-skip-permissions"},
			Resume:         []string{"claude", "--dangerously-skip-permissions", "--continue"},
			Headless:       []string{"claude", "--dangerously-skip-permissions", "-p"},
			HeadlessResume: []string{"claude", "--dangerously-skip-permissions", "--continue", "-p"},
			Transcript:     spec.Home + "/.claude/projects",
			Talks:          inProjects(cmp.Or(in.Workdir, spec.Workdir)) + "/*.jsonl",
		},
		PromptFile: spec.PromptFile,
		Prompted:   []string{"--append-system-prompt-file", spec.PromptFile},
		Recipe:     claudeRecipe,
		SkillsDir:  spec.Home + "/.claude/skills",
	}
	if in.AuthToken != "" {
		route.Auth = &egress.Auth{Scheme: "Bearer", TokenRef: in.AuthToken}
		const name = "CLAUDE_CODE_OAUTH_TOKEN"
		p.Env = append(p.Env, spec.Env{Name: name, Kind: spec.EnvProvider, Value: placeholder})
		p.HiddenEnv = []string{name}
	}
	p.Routes = []egress.Route{route}
	return p
}

// inProjects is the directory of the conversations that began in workdir: the
// program goes on with no other.
func inProjects(workdir string) string {
	return notInProjects.ReplaceAllString(workdir, "-")
}

var notInProjects = regexp.MustCompile(`[^A-Za-z0-9]`)

// onboarded is ~/.claude.json: onboarding is done, home and workspace trusted.
func onboarded(in Input) []byte {
	trusted := map[string]any{"hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true}
	projects := map[string]any{spec.Home: trusted, spec.Workdir: trusted}
	if in.Workdir != "" {
		projects[in.Workdir] = trusted
	}
	config := map[string]any{
		"hasCompletedOnboarding":        true,
		"bypassPermissionsModeAccepted": true,
		"projects":                      projects,
	}
	if in.Supervise {
		config["mcpServers"] = map[string]any{superviseName: map[string]string{"type": "http", "url": superviseURL}}
	}
	b, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		panic("provider: " + err.Error()) // only plain data reaches this
	}
	return append(b, '\n')
}
