// Package provider says what each provider adds to a bottle: environment,
// files, routes and programs. Providers are pure values; nothing outside this
// package knows a provider's name.
package provider

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Input is what a provider may depend on.
type Input struct {
	// AuthToken is the name of the host variable to inject, or "".
	AuthToken string
	HasPrompt bool
	// Workdir is where the agent starts; "" means spec.Workdir.
	Workdir string
}

// Provision is what a provider adds to a bottle.
type Provision struct {
	Env []spec.Env
	// HiddenEnv names variables that lists shown to people leave out.
	HiddenEnv []string
	Files     []spec.File
	Routes    []egress.Route
	Program   spec.Program
	// Recipe is the embedded Dockerfile of the provider's image.
	Recipe string
	// SkillsDir is where the agent's program looks for skills.
	SkillsDir string
}

var providers = map[string]func(Input) Provision{
	"claude": claude,
	"shell":  shell,
}

// Names lists the built-in providers.
func Names() []string { return slices.Sorted(maps.Keys(providers)) }

// For returns what the named provider adds.
func For(name string, in Input) (Provision, error) {
	make, ok := providers[name]
	if !ok {
		return Provision{}, diag.Errorf("unknown provider %q", name).
			WithHint("agent_provider.template is one of %v", Names())
	}
	p := make(in)
	for i := range p.Routes {
		p.Routes[i].Source = fmt.Sprintf("provider %s", name)
	}
	return p, nil
}
