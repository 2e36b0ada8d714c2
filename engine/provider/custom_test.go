package provider

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// A provider of the user's own follows the same rules as the built-in ones: a
// route with and without a token, the placeholder only with one.
func TestCustom(t *testing.T) {
	c := Custom{
		Name: "mine", Dockerfile: "/h/providers/mine/Dockerfile",
		Env: []spec.Env{{Name: "A", Kind: spec.EnvProvider, Value: "a"}}, HiddenEnv: []string{"A"},
		Files: []spec.File{{Path: spec.Home + "/a", Mode: 0o644}},
		Routes: []egress.Route{
			{Host: "api.example.com", Port: 443, TLSPassthrough: true, Source: "provider.cue:3"},
			{Host: "api.example.com", Port: 8443, Source: "provider.cue:4", DLP: &egress.DLP{OnMatch: "block"}},
			{Host: "up.example.com", Port: 443, Source: "provider.cue:5", DLP: &egress.DLP{Stream: true}},
			{Host: "raw.example.com", Port: 443, Source: "provider.cue:6", Tunnel: true},
		},
		Token:      &CustomToken{Host: "api.example.com", Port: 443, Scheme: "Basic", Header: "X-Key", Env: "MINE_TOKEN"},
		Program:    spec.Program{Interactive: []string{"mine"}},
		PromptFile: spec.PromptFile, Prompted: []string{"-f", spec.PromptFile}, SkillsDir: "/s",
	}
	before := Custom{Routes: egress.CloneRoutes(c.Routes)}
	template := c.Template()
	bare := template.Provide(Input{})
	want := Provision{
		Env: c.Env, HiddenEnv: c.HiddenEnv, Files: c.Files, Program: c.Program, PromptFile: c.PromptFile,
		Prompted: c.Prompted, SkillsDir: c.SkillsDir, Dockerfile: c.Dockerfile,
		Routes: []egress.Route{
			{Host: "api.example.com", Port: 443, TLSPassthrough: true, Source: "provider mine", DLP: &egress.DLP{Patterns: "redact"}},
			{Host: "api.example.com", Port: 8443, Source: "provider mine", DLP: &egress.DLP{OnMatch: "block"}},
			{Host: "up.example.com", Port: 443, Source: "provider mine", DLP: &egress.DLP{Patterns: "redact", Stream: true}},
			{Host: "raw.example.com", Port: 443, Source: "provider mine", Tunnel: true},
		},
		Places: []string{"provider.cue:3", "provider.cue:4", "provider.cue:5", "provider.cue:6"},
	}
	if d := cmp.Diff(want, bare); d != "" {
		t.Error(d)
	}
	with := template.Provide(Input{AuthToken: "T"})
	want.Routes[0].Auth = &egress.Auth{Scheme: "Basic", TokenRef: "T", Header: "X-Key"}
	want.Env = append(want.Env[:1:1], spec.Env{Name: "MINE_TOKEN", Kind: spec.EnvProvider, Value: placeholder})
	want.HiddenEnv = []string{"A", "MINE_TOKEN"}
	if d := cmp.Diff(want, with); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(before.Routes, c.Routes); d != "" {
		t.Errorf("providing changed the declaration: %s", d)
	}
	if d := cmp.Diff([]string{KeyAuthToken}, template.Takes); d != "" {
		t.Error(d)
	}
	c.Token = nil
	if len(c.Template().Takes) != 0 {
		t.Error("takes a token that it does not know what to do with")
	}
}
