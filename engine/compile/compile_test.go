package compile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
)

func fleet(edits ...func(*manifest.Agent)) []*manifest.Agent {
	b := &manifest.Bottle{
		Name: "dev", File: "/h/bottles/dev.md", Lineage: []string{"dev", "base"},
		Provider: manifest.ProviderDecl{Template: "claude", AuthToken: "TOKEN"},
		Env: []manifest.EnvVar{
			{Name: "GITEA", Kind: manifest.EnvHost, Value: "GITEA_TOKEN"},
			{Name: "PORT", Kind: manifest.EnvLiteral, Value: "8080"},
		},
		Egress: manifest.Egress{Routes: []egress.Route{{Host: "api.anthropic.com", Port: 443, SSRFIPAllowlist: []string{"10.0.0.0/8"}, Source: "bottle dev.md:5"}}},
	}
	a := &manifest.Agent{Name: "rev", File: "/h/agents/rev.md", Scope: manifest.ScopeHome, Bottle: b, Replicas: 2, Prompt: "Review."}
	for _, e := range edits {
		e(a)
	}
	return []*manifest.Agent{a}
}

func options() Options {
	return Options{
		DefaultBackend: "docker", BaseImage: "base:1",
		Scopes: map[manifest.Scope]string{manifest.ScopeHome: "0123456789abcdef"},
	}
}

func specsOf(t *testing.T, agents []*manifest.Agent, o Options) []*spec.Spec {
	t.Helper()
	r, problems := Compile(agents, o)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return r.Specs
}

func TestCompile(t *testing.T) {
	result, problems := Compile(fleet(), options())
	specs := result.Specs
	if len(problems) > 0 || len(specs) != 2 {
		t.Fatalf("%d specs, %v", len(specs), problems)
	}
	s := specs[1]
	want := &spec.Spec{
		ID:      spec.ID{Scope: "0123456789abcdef", Agent: "rev", Replica: "2"},
		Backend: "docker",
		Source:  spec.Source{AgentFile: "/h/agents/rev.md", BottleFile: "/h/bottles/dev.md", Bottle: "dev", Lineage: []string{"dev", "base"}},
		Live: spec.Live{
			Routes: []egress.Route{{
				Host: "api.anthropic.com", Port: 443, SSRFIPAllowlist: []string{"10.0.0.0/8"}, TLSPassthrough: true,
				Strip: []string{"X-Api-Key"}, Source: "bottle dev.md:5",
				Auth: &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}, DLP: &egress.DLP{Patterns: "redact"},
			}},
			Tokens: map[string]string{"EGRESS_TOKEN_0": "TOKEN"},
			Prompt: "Review.",
		},
		HiddenEnv: []string{"CLAUDE_CODE_OAUTH_TOKEN"},
	}
	if d := cmp.Diff(want, s, cmpopts.IgnoreFields(spec.Spec{}, "Image", "Fixed", "Files", "Program"), cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(spec.Resources{CPUs: 2, Memory: 4 << 30, PIDs: 512}, s.Fixed.Resources); d != "" {
		t.Error(d)
	}
	env := map[string]string{}
	last := ""
	for _, e := range s.Fixed.Env {
		if e.Name <= last {
			t.Errorf("%s comes after %s", e.Name, last)
		}
		last = e.Name
		env[e.Name] = e.Kind + " " + e.Value
	}
	for name, want := range map[string]string{
		"HTTPS_PROXY": "bb http://egress:9099", "https_proxy": "bb http://egress:9099",
		"NODE_EXTRA_CA_CERTS": "bb " + spec.CAFile, "SSL_CERT_FILE": "bb " + spec.CABundle,
		"GITEA": "host GITEA_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN": "provider egress-placeholder",
		"PORT": "literal 8080",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	var prompt *spec.File
	for i, f := range s.Files {
		if f.Path == spec.PromptFile {
			prompt = &s.Files[i]
		}
	}
	if prompt == nil || string(prompt.Content) != "Review.\n" || prompt.Part != spec.PartPrompt {
		t.Errorf("prompt file %+v", prompt)
	}
}

// A changed prompt is a live change; a changed provider file a fixed one.
func TestPromptIsNotInTheFixedHalf(t *testing.T) {
	a := specsOf(t, fleet(), options())
	b := specsOf(t, fleet(func(a *manifest.Agent) { a.Prompt = "Else." }), options())
	k := spec.Key("k")
	if a[0].Hash(k) != b[0].Hash(k) {
		t.Error("a prompt replaces its bottle")
	}
	if a[0].LiveHashes()[spec.PartPrompt] == b[0].LiveHashes()[spec.PartPrompt] {
		t.Error("a prompt is not noticed")
	}
}

func TestBackendPrecedence(t *testing.T) {
	for _, tt := range []struct{ flag, manifest, want string }{
		{"", "", "docker"}, {"", "smolvm", "smolvm"}, {"fake", "smolvm", "fake"},
	} {
		o := options()
		o.Backend = tt.flag
		specs := specsOf(t, fleet(func(a *manifest.Agent) { a.Bottle.Backend = tt.manifest }), o)
		if specs[0].Backend != tt.want || specs[0].Fixed.Backend != tt.want {
			t.Errorf("%+v: %s", tt, specs[0].Backend)
		}
	}
}

func TestMistakesOfTheHost(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(key, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	skills := filepath.Join(dir, "skills")
	if err := os.MkdirAll(filepath.Join(skills, "link"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(skills, "link", "x")); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		edit func(*manifest.Agent)
		want string
	}{
		"dockerfile missing": {
			func(a *manifest.Agent) {
				a.Bottle.Provider.Dockerfile = filepath.Join(dir, "nope")
				a.Bottle.Provider.From = manifest.Pos{File: "dev.md", Line: 3}
			},
			"dev.md:3: agent_provider.dockerfile: " + filepath.Join(dir, "nope") + ": no such file or directory (paths are relative to the manifest's directory)",
		},
		"key among the roots": {
			func(a *manifest.Agent) { a.Bottle.Egress.UpstreamCA = key },
			"holds a PRIVATE KEY block, certificates only",
		},
		"two auths": {
			func(a *manifest.Agent) {
				a.Bottle.Egress.Routes[0].Auth = &egress.Auth{Scheme: "Bearer", TokenRef: "OTHER"}
			},
			"two different auths: bottle dev.md:5 and provider claude",
		},
		"token beside auth_token": {
			func(a *manifest.Agent) {
				a.Bottle.Env = []manifest.EnvVar{{Name: "CLAUDE_CODE_OAUTH_TOKEN", From: manifest.Pos{File: "dev.md", Line: 7}}}
			},
			"dev.md:7: env.CLAUDE_CODE_OAUTH_TOKEN is set by bb or the provider (remove it; ",
		},
		"the canary's name": {
			func(a *manifest.Agent) {
				a.Bottle.Env = []manifest.EnvVar{{Name: spec.CanaryEnv, From: manifest.Pos{File: "dev.md", Line: 7}}}
			},
			"dev.md:7: env.BACKUP_ADMIN_TOKEN is set by bb or the provider (remove it; ",
		},
		"skill missing":        {func(a *manifest.Agent) { a.Skills = []string{"nope"} }, `skill "nope": `},
		"skill out of its dir": {func(a *manifest.Agent) { a.Skills = []string{"link"} }, "x is neither a file nor a directory"},
		"unknown provider":     {func(a *manifest.Agent) { a.Bottle.Provider.Template = "x" }, `there is no provider "x"`},
	} {
		o := options()
		o.Skills = skills
		result, problems := Compile(fleet(tt.edit), o)
		specs := result.Specs
		if len(specs) != 0 || len(problems) != 1 || !strings.Contains(problems[0].Error(), tt.want) {
			t.Errorf("%s: %d specs, %v", name, len(specs), problems)
		}
	}
}

func TestSkills(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "init-prd", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "init-prd", "sub", "SKILL.md")
	if err := os.WriteFile(file, []byte("one"), 0o640); err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Skills = dir
	agent := func(a *manifest.Agent) { a.Skills = []string{"init-prd"} }
	result, problems := Compile(fleet(agent), o)
	first := result.Specs
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var paths []string
	for _, f := range first[0].Files {
		if f.Part == spec.PartSkills {
			paths = append(paths, f.Path)
		}
	}
	want := []string{"/home/node/.claude/skills/init-prd", "/home/node/.claude/skills/init-prd/sub", "/home/node/.claude/skills/init-prd/sub/SKILL.md"}
	if d := cmp.Diff(want, paths); d != "" {
		t.Error(d)
	}
	if err := os.WriteFile(file, []byte("two"), 0o640); err != nil {
		t.Fatal(err)
	}
	second := specsOf(t, fleet(agent), o)
	if first[0].LiveHashes()[spec.PartSkills] == second[0].LiveHashes()[spec.PartSkills] {
		t.Error("a changed skill is not noticed")
	}
	if first[0].Hash(nil) != second[0].Hash(nil) {
		t.Error("a changed skill replaces its bottle")
	}
}
