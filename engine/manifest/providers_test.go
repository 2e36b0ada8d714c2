package manifest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/provider"
	"github.com/bot-bottle/bb/engine/spec"
)

const someProvider = `
program: {run: ["mine", "~/x"], headless: ["mine", "-p"]}
env: {A: "\(_a)", B: "b"}
hidden_env: ["B"]
_a: "A"
directories: [{path: "~/.mine", mode: "0700"}]
files: [
	{path: "~/.mine/a", mode: "600", content: "a"},
	{path: "~/.mine/b", source: "b.txt"},
]
routes: [
	{host: "api.example.com", websocket: true, pipelock: tls_passthrough: true},
	{host: "own.example.com", port: 8443, auth: {scheme: "raw", token_ref: "file:~/t", header: "X-Key"}},
]
auth_token: {host: "api.example.com", scheme: "Basic", header: "X-Token", env: "MINE_TOKEN"}
prompt: {file: "~/.mine/AGENT.md", arguments: ["--with", "~/.mine/AGENT.md"]}
skills_dir: "~/.mine/skills"
verify: [["mine", "--version"]]
`

func TestProvider(t *testing.T) {
	o := tree(t, map[string]string{
		"home/bottles/dev.md":              md("agent_provider: {template: mine, auth_token: A}"),
		"home/bottles/heir.md":             md("extends: dev"),
		"home/bottles/image.md":            md("agent_provider: {template: small, image: 'x:1'}"),
		"home/providers/mine/provider.cue": someProvider,
		"home/providers/mine/b.txt":        "of a file\n",
		// Not a directory, and hidden: no providers.
		"home/providers/README":                  "x",
		"home/providers/.git/provider.cue":       "x: 1",
		"home/providers/small/provider.cue":      `program: run: ["s"]`,
		"home/providers/small/more/provider.cue": "x: 1",
	})
	mine := filepath.Join(o.Home, "providers", "mine", "provider.cue")
	fleet := loaded(t, o)
	want := &provider.Custom{
		Name: "mine", File: mine, Dockerfile: filepath.Join(filepath.Dir(mine), "Dockerfile"),
		Env:       []spec.Env{{Name: "A", Kind: spec.EnvProvider, Value: "A"}, {Name: "B", Kind: spec.EnvProvider, Value: "b"}},
		HiddenEnv: []string{"B"},
		Files: []spec.File{
			{Path: spec.Home + "/.mine", Mode: 0o700, Dir: true},
			{Path: spec.Home + "/.mine/a", Mode: 0o600, Content: []byte("a")},
			{Path: spec.Home + "/.mine/b", Mode: 0o644, Content: []byte("of a file\n")},
		},
		Routes: []egress.Route{
			{Host: "api.example.com", Port: 443, WebSocket: true, TLSPassthrough: true, Source: "provider.cue:12"},
			{
				Host: "own.example.com", Port: 8443, Source: "provider.cue:13",
				Auth: &egress.Auth{Scheme: "raw", TokenRef: "file:~/t", Header: "X-Key"},
			},
		},
		Token: &provider.CustomToken{Host: "api.example.com", Port: 443, Scheme: "Basic", Header: "X-Token", Env: "MINE_TOKEN"},
		Program: spec.Program{
			Interactive: []string{"mine", spec.Home + "/x"}, Resume: []string{"mine", spec.Home + "/x"},
			Headless: []string{"mine", "-p"}, Verify: [][]string{{"mine", "--version"}},
		},
		PromptFile: spec.Home + "/.mine/AGENT.md", Prompted: []string{"--with", spec.Home + "/.mine/AGENT.md"},
		SkillsDir: spec.Home + "/.mine/skills",
	}
	for _, name := range []string{"dev", "heir"} {
		if d := cmp.Diff(want, fleet.Bottles[name].Provider.Custom); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	small := fleet.Bottles["image"].Provider.Custom
	if small.PromptFile != spec.PromptFile || small.SkillsDir == "" || small.Token != nil {
		t.Errorf("defaults: %+v", small)
	}
	var listed []string
	for _, m := range fleet.Manifests {
		if m.Kind == "provider" {
			listed = append(listed, m.Name)
		}
	}
	if d := cmp.Diff([]string{"mine", "small"}, listed); d != "" {
		t.Error(d)
	}
}

// A broken provider breaks the bottles that use it and no others.
func TestBrokenProvider(t *testing.T) {
	files := map[string]string{
		"home/bottles/dev.md":              md("agent_provider: {template: mine}"),
		"home/bottles/heir.md":             md("extends: dev"),
		"home/bottles/other.md":            md("agent_provider: {template: shell}"),
		"home/agents/a.md":                 md("bottle: heir"),
		"home/agents/b.md":                 md("bottle: other"),
		"home/providers/mine/provider.cue": `programm: run: ["s"]`,
	}
	o := tree(t, files)
	fleet, problems := Load(o)
	if !problems.HasErrors() {
		t.Error("accepted")
	}
	if d := cmp.Diff([]string{"dev", "heir"}, fleet.BrokenBottles); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a"}, fleet.BrokenAgents); d != "" {
		t.Error(d)
	}
	o.Want = []string{"b"}
	if _, problems := Load(o); problems.HasErrors() || len(problems) == 0 {
		t.Errorf("for another agent: %v", problems)
	}
	o.Want = []string{"a"}
	_, problems = Load(o)
	errors := 0
	for _, d := range problems {
		if strings.Contains(d.File, "provider.cue") && d.Severity == "error" {
			errors++
		}
	}
	if errors == 0 {
		t.Errorf("for an agent that stands on it: %v", problems)
	}
}

// A provider's directory is all that its files come from.
func TestProviderFilesStayInside(t *testing.T) {
	o := tree(t, map[string]string{
		"home/bottles/dev.md":              md("agent_provider: {template: mine}"),
		"home/secret":                      "hush",
		"home/providers/mine/inside":       "fine",
		"home/providers/mine/sub/deep":     "fine",
		"home/providers/mine/provider.cue": "",
	})
	dir := filepath.Join(o.Home, "providers", "mine")
	for link, to := range map[string]string{
		"link-inside": "inside", "link-out": "../../secret", "link-abs": filepath.Join(o.Home, "secret"), "sub-out": "../..",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		"inside": "", "./inside": "", "sub/deep": "", "link-inside": "",
		"link-out": "path escapes from parent", "link-abs": "path escapes from parent", "sub-out/secret": "path escapes from parent",
		"sub/../../../secret": "path escapes from parent", "fifo": "is not a regular file", "large": "larger than 1 MiB",
	} {
		text := `program: run: ["s"]` + "\nfiles: [{path: \"~/a\", source: \"" + source + "\"}]\n"
		if err := os.WriteFile(filepath.Join(dir, "provider.cue"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		fleet, problems := Load(o)
		if want == "" {
			if len(problems) > 0 || string(fleet.Bottles["dev"].Provider.Custom.Files[0].Content) != "fine" {
				t.Errorf("%s: %v", source, problems)
			}
			continue
		}
		if !slices.ContainsFunc(texts(problems), func(s string) bool { return strings.Contains(s, "files[0].source: "+want) }) {
			t.Errorf("%s: %v", source, problems)
		}
	}
}

// The example that the documentation shows compiles.
func TestExampleProvider(t *testing.T) {
	o := tree(t, map[string]string{"home/bottles/dev.md": md("agent_provider: {template: example, auth_token: EXAMPLE_TOKEN}")})
	if err := os.CopyFS(filepath.Join(o.Home, "providers"), os.DirFS("../../examples/providers")); err != nil {
		t.Fatal(err)
	}
	c := loaded(t, o).Bottles["dev"].Provider.Custom
	if c == nil || len(c.Files) != 2 || len(c.Files[1].Content) == 0 || c.Token == nil {
		t.Errorf("%+v", c)
	}
	if _, err := os.Stat(c.Dockerfile); err != nil {
		t.Error(err)
	}
}
