package compile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
)

// load compiles one agent in one bottle from files on disk.
func load(t *testing.T, bottle string, files ...string) diag.List {
	t.Helper()
	home := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("bottles/dev.md", "---\n"+bottle+"\n---\n")
	write("agents/one.md", "---\nbottle: dev\n---\n")
	for i := 0; i < len(files); i += 2 {
		write(files[i], files[i+1])
	}
	f, problems := manifest.Load(manifest.Options{Home: home})
	_, mistakes := Compile(f.Agents, options())
	problems = append(problems, mistakes...)
	problems.Sort()
	for i := range problems {
		problems[i].File = strings.TrimPrefix(problems[i].File, home+"/")
	}
	return problems
}

// Each wrong combination is one line that says what to do.
func TestWrongCombinations(t *testing.T) {
	mine := []string{
		"providers/mine/Dockerfile", "FROM scratch\n",
		"providers/mine/provider.cue", "program: run: [\"m\"]\nroutes: [{host: \"api.example.com\", auth: {scheme: \"raw\", token_ref: \"THEIRS\"}}]\n",
	}
	for name, tt := range map[string]struct {
		bottle string
		files  []string
		want   string
	}{
		"a token for a login": {
			"agent_provider: {template: codex, auth_token: A}", nil,
			"bottles/dev.md:2:35: agent_provider.auth_token is for template claude only; this one is codex (remove it, or set template: claude)",
		},
		"a token for nothing": {
			"agent_provider: {template: shell, auth_token: A}", nil,
			"bottles/dev.md:2:35: agent_provider.auth_token is for template claude only; this one is shell (remove it, or set template: claude)",
		},
		"a login for a token": {
			"agent_provider: {template: claude, forward_host_credentials: true}", nil,
			"bottles/dev.md:2:36: agent_provider.forward_host_credentials is for template codex only; this one is claude (remove it, or set template: codex)",
		},
		"a login for the default, even refused": {
			"agent_provider: {forward_host_credentials: false}", nil,
			"bottles/dev.md:2:18: agent_provider.forward_host_credentials is for template codex only; this one is claude (remove it, or set template: codex)",
		},
		"a token for one of ours": {
			"agent_provider: {template: mine, auth_token: A}", mine,
			"bottles/dev.md:2:34: agent_provider.auth_token: the provider mine takes no token (remove it, or declare auth_token in ",
		},
		"a role": {
			"egress: {routes: [{host: a.example.com, role: git}]}", nil,
			`bottles/dev.md:2:41: unknown role "git" (no roles exist; use agent_provider.auth_token or forward_host_credentials)`,
		},
		"an empty role": {
			"egress: {routes: [{host: a.example.com, role: ''}]}", nil,
			`bottles/dev.md:2:41: unknown role "" (no roles exist; use agent_provider.auth_token or forward_host_credentials)`,
		},
		"roles": {
			"egress: {routes: [{host: a.example.com, role: [api]}]}", nil,
			`bottles/dev.md:2:41: unknown role (a list) (no roles exist; use agent_provider.auth_token or forward_host_credentials)`,
		},
		"two auths for one host": {
			"agent_provider: {template: claude, auth_token: A}\negress:\n  routes:\n    - host: api.anthropic.com\n      auth: {scheme: Bearer, token_ref: B}", nil,
			"bottles/dev.md:3: api.anthropic.com:443 has two different auths: bottle dev.md:5 and provider claude; remove one of them",
		},
		"another header for one host": {
			"agent_provider: {template: claude, auth_token: A}\negress:\n  routes:\n    - host: api.anthropic.com\n      auth: {scheme: Bearer, token_ref: A, header: X-Api-Key}", nil,
			"bottles/dev.md:3: api.anthropic.com:443 has two different auths: bottle dev.md:5 and provider claude; remove one of them",
		},
		"two auths, one of ours": {
			"agent_provider: {template: mine}\negress:\n  routes:\n    - host: api.example.com\n      auth: {scheme: raw, token_ref: 'file:~/mine'}", mine,
			"bottles/dev.md:3: api.example.com:443 has two different auths: bottle dev.md:5 and provider mine provider.cue:2; remove one of them",
		},
		"a wildcard that leaves nothing of a provider's route": {
			"agent_provider: {template: mine}\negress:\n  routes:\n    - host: '*.example.com'\n      path_allowlist: [/v1]",
			[]string{"providers/mine/Dockerfile", "", "providers/mine/provider.cue", "program: run: [\"m\"]\nroutes: [{host: \"api.example.com\", path_allowlist: [\"/v2\"]}]\n"},
			"bottles/dev.md:3: api.example.com:443 of provider mine provider.cue:2 and the wildcard *.example.com (bottle dev.md:5) have no request in common; widen the wildcard, or declare the host itself",
		},
	} {
		problems := load(t, tt.bottle, tt.files...)
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), tt.want) || strings.Contains(problems[0].Error(), "\n") {
			t.Errorf("%s:\n%v\nwant %s", name, problems, tt.want)
		}
	}
}
