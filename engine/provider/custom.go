package provider

import (
	"slices"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// Custom is a provider of the user's own as its file declares it: plain data.
// Paths in it are absolute, those of the bottle below spec.Home.
type Custom struct {
	Name string
	// File is provider.cue, and Dockerfile the one beside it, there or not.
	File, Dockerfile string
	Env              []spec.Env
	HiddenEnv        []string
	// Files also holds directories.
	Files []spec.File
	// Routes have "provider.cue:LINE" for a source.
	Routes     []egress.Route
	Token      *CustomToken // nil: it does not take auth_token
	Program    spec.Program
	PromptFile string
	Prompted   []string
	SkillsDir  string
}

// CustomToken says what becomes of agent_provider.auth_token.
type CustomToken struct {
	// Host and Port are those of one of the routes.
	Host                  string
	Port                  int
	Scheme, Header, Query string
	// Env gets a placeholder; "" means that the program needs none.
	Env string
}

// Template makes a provider of it.
func (c Custom) Template() Template {
	t := Template{Name: c.Name, Make: c.provision}
	if c.Token != nil {
		t.Takes = []string{KeyAuthToken}
	}
	return t
}

func (c Custom) provision(in Input) Provision {
	p := Provision{
		Env: slices.Clone(c.Env), HiddenEnv: slices.Clone(c.HiddenEnv), Files: slices.Clone(c.Files),
		Routes: egress.CloneRoutes(c.Routes), Program: c.Program, PromptFile: c.PromptFile,
		Prompted: c.Prompted, SkillsDir: c.SkillsDir, Dockerfile: c.Dockerfile,
	}
	if c.Token == nil || in.AuthToken == "" {
		return p
	}
	for i, r := range p.Routes {
		if r.Host == c.Token.Host && r.Port == c.Token.Port {
			p.Routes[i].Auth = &egress.Auth{
				Scheme: c.Token.Scheme, TokenRef: in.AuthToken, Header: c.Token.Header, Query: c.Token.Query,
			}
		}
	}
	if name := c.Token.Env; name != "" {
		p.Env = append(p.Env, spec.Env{Name: name, Kind: spec.EnvProvider, Value: placeholder})
		p.HiddenEnv = append(p.HiddenEnv, name)
	}
	return p
}
