// Package provider says what each provider adds to a bottle: environment,
// files, routes, credentials and programs. Providers are pure values; nothing
// outside this package knows a provider's name.
package provider

import (
	"fmt"
	"slices"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Default is the provider of a bottle that names none.
const Default = "claude"

// Keys of agent_provider that only some providers take.
const (
	KeyAuthToken = "auth_token"
	KeyForward   = "forward_host_credentials"
)

// Template is one provider.
type Template struct {
	Name string
	// Takes lists the keys of agent_provider that it understands, beyond those
	// that every provider does.
	Takes []string
	// Asks lists what it needs to read of the host.
	Asks func(Input) []Ask
	// Make is pure: the same input makes the same provision.
	Make func(Input) Provision
}

// Input is what a provider may depend on.
type Input struct {
	// AuthToken is the token reference to inject, or "".
	AuthToken string
	// Workdir is where the agent starts; "" means spec.Workdir.
	Workdir string
	// Supervise registers the tools that the agent asks a person with.
	Supervise bool
	// Forward lends the login that the host has.
	Forward bool
	// Now judges what expires.
	Now time.Time
	// Answers hold what was asked for, by name.
	Answers map[string]Answer
}

// Ask names one file of the host: File in the directory that the variable
// DirVar names, or in Dir ("~/..." is the home directory) where it is unset.
type Ask struct{ Name, DirVar, Dir, File string }

// Answer is what the host's reader found: the text, or why there is none.
type Answer struct {
	// Path is where it looked, for people.
	Path string
	Text []byte
	Err  error
}

// Provision is what a provider adds to a bottle.
type Provision struct {
	Env []spec.Env
	// HiddenEnv names variables that lists shown to people leave out.
	HiddenEnv []string
	// Files also holds directories.
	Files  []spec.File
	Routes []egress.Route
	// Places says for each of Routes where a file declares it; nil without one.
	Places []string
	// Values are the provider's own token values, by reference. They are
	// secrets: they go where the host's variables go, and nowhere else.
	Values map[string]string
	// Logins says which logins of the host are lent, and until when.
	Logins []spec.Login
	// Problems keep an apply from going on; a plan only notes them.
	Problems diag.List
	Program  spec.Program
	// PromptFile is where the program looks for the agent's prompt.
	PromptFile string
	// Prompted are the arguments that the program needs when there is one.
	Prompted []string
	// Recipe is the embedded Dockerfile of the provider's image; Dockerfile
	// is the path of one instead, with its directory as the context.
	Recipe, Dockerfile string
	// SkillsDir is where the program looks for skills.
	SkillsDir string
}

// superviseName is what the program calls the tools, and superviseURL where they
// are: outside of the proxy.
const superviseName = "bb"

var superviseURL = fmt.Sprintf("http://%s:%d/mcp", egress.SuperviseHost, egress.SupervisePort)

var builtin = []Template{claude, codex, shell}

// Names lists the built-in providers.
func Names() []string {
	var names []string
	for _, t := range builtin {
		names = append(names, t.Name)
	}
	return names
}

// Builtin returns a built-in provider.
func Builtin(name string) (Template, bool) {
	i := slices.IndexFunc(builtin, func(t Template) bool { return t.Name == name })
	if i < 0 {
		return Template{}, false
	}
	return builtin[i], true
}

// Taking names the built-in providers that take a key.
func Taking(key string) []string {
	var names []string
	for _, t := range builtin {
		if slices.Contains(t.Takes, key) {
			names = append(names, t.Name)
		}
	}
	return names
}

// Provide returns what t adds to a bottle, with the source of its routes. On
// them, hits that are no known value are redacted where the provider says
// nothing else: a key in an agent's context is sent with every turn, and to
// block it would end the session for good.
func (t Template) Provide(in Input) Provision {
	p := t.Make(in)
	for i := range p.Routes {
		if at := p.Routes[i].Source; at != "" {
			p.Places = append(p.Places, at)
		}
		p.Routes[i].Source = "provider " + t.Name
		p.Routes[i].DLP = hits(p.Routes[i])
	}
	return p
}

func hits(r egress.Route) *egress.DLP {
	var d egress.DLP
	if r.DLP != nil {
		d = *r.DLP
	}
	switch {
	case r.Tunnel: // nothing is searched in one
		return nil
	case d.OnMatch == "":
		d.Patterns = egress.OnMatchRedact
	}
	return &d
}

// Wants lists what t needs to read of the host.
func (t Template) Wants(in Input) []Ask {
	if t.Asks == nil {
		return nil
	}
	return t.Asks(in)
}

// With returns the programs with the arguments that a prompt needs put behind
// the program's name, where options are taken in any mode.
func With(p spec.Program, prompted []string) spec.Program {
	put := func(argv []string) []string {
		if len(argv) == 0 || len(prompted) == 0 {
			return argv
		}
		return slices.Concat(argv[:1], prompted, argv[1:])
	}
	p.Interactive, p.Resume = put(p.Interactive), put(p.Resume)
	p.Headless, p.HeadlessResume = put(p.Headless), put(p.HeadlessResume)
	return p
}
