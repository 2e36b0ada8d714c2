package compile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/provider"
	"github.com/bot-bottle/bb/engine/spec"
)

func custom(dir string) func(*manifest.Agent) {
	return func(a *manifest.Agent) {
		a.Bottle.Egress.Routes[0].Host = "api.example.com"
		a.Bottle.Provider = manifest.ProviderDecl{
			Template: "mine", AuthToken: "TOKEN", From: manifest.Pos{File: "dev.md", Line: 3},
			Custom: &provider.Custom{
				Name: "mine", File: filepath.Join(dir, "provider.cue"), Dockerfile: filepath.Join(dir, "Dockerfile"),
				Routes:     []egress.Route{{Host: "api.example.com", Port: 443, TLSPassthrough: true, Source: "provider.cue:7"}},
				Token:      &provider.CustomToken{Host: "api.example.com", Port: 443, Scheme: "token", Env: "MINE_TOKEN"},
				Program:    spec.Program{Interactive: []string{"mine"}, Headless: []string{"mine", "-p"}},
				PromptFile: spec.PromptFile, Prompted: []string{"-f"},
			},
		}
	}
}

func TestCustomProvider(t *testing.T) {
	dir := t.TempDir()
	missing := "dev.md:3: provider mine: " + filepath.Join(dir, "Dockerfile") +
		": no such file or directory (put a Dockerfile beside its provider.cue, or name agent_provider.image)"
	if _, problems := Compile(fleet(custom(dir)), options()); len(problems) != 1 || problems[0].Error() != missing {
		t.Errorf("without a Dockerfile: %v", problems)
	}
	named := specsOf(t, fleet(custom(dir), func(a *manifest.Agent) { a.Bottle.Provider.Image = "x:1" }), options())
	if named[0].Image.Ref != "x:1" {
		t.Errorf("%+v", named[0].Image)
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := specsOf(t, fleet(custom(dir)), options())[0]
	if s.Image != (spec.Image{Name: "mine", Dockerfile: filepath.Join(dir, "Dockerfile"), Base: "base:1"}) {
		t.Errorf("%+v", s.Image)
	}
	r := s.Live.Routes[0]
	if !r.TLSPassthrough || r.Auth == nil || r.Auth.Scheme != "token" || r.Source != "bottle dev.md:5" {
		t.Errorf("%+v", r)
	}
	if got := strings.Join(s.Program.Headless, " "); got != "mine -f -p" {
		t.Error(got)
	}
	if s.Live.Login != "" {
		t.Error("nothing is verified and yet there is something to do")
	}
	verify := func(argv ...string) string {
		return specsOf(t, fleet(custom(dir), func(a *manifest.Agent) { a.Bottle.Provider.Custom.Program.Verify = [][]string{argv} }), options())[0].Live.Login
	}
	if verify("mine") == "" || verify("mine") == verify("mine", "-x") {
		t.Error("what verifies a bottle is not noticed")
	}
	if s.Fixed.Provider != "mine" || len(s.HiddenEnv) != 1 {
		t.Errorf("%+v %v", s.Fixed, s.HiddenEnv)
	}
}

// An error of the merge names both places.
func TestMergeErrorNamesBothPlaces(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, problems := Compile(fleet(custom(dir), func(a *manifest.Agent) {
		a.Bottle.Egress.Routes[0].Auth = &egress.Auth{Scheme: "Bearer", TokenRef: "OTHER"}
		a.Bottle.Egress.From = manifest.Pos{File: "dev.md", Line: 4}
	}), options())
	if len(problems) != 1 {
		t.Fatal(problems)
	}
	for _, want := range []string{"dev.md:4: ", "bottle dev.md:5", "provider mine provider.cue:7", "api.example.com:443"} {
		if !strings.Contains(problems[0].Error(), want) {
			t.Errorf("no %q in %v", want, problems[0])
		}
	}
}
