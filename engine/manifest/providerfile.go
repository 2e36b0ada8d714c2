package manifest

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/provider"
	"github.com/bot-bottle/bb/engine/spec"
)

// providerFile is the one file of a provider's directory that is a manifest.
const providerFile = "provider.cue"

// decodeCustom reads a provider of the user's own.
func (f *file) decodeCustom() *provider.Custom {
	root := f.root
	if _, ok := provider.Builtin(f.name); ok {
		f.failFile(1, 1, "give its directory another name", "provider %s is built in", f.name)
	}
	c := &provider.Custom{
		Name: f.name, File: f.path, Dockerfile: filepath.Join(filepath.Dir(f.path), "Dockerfile"),
		Env: f.literals(root.get("env")), Routes: f.decodeRoutes(root.get("routes"), "routes"),
		PromptFile: spec.PromptFile, SkillsDir: spec.Home + "/.skills",
	}
	c.HiddenEnv = f.hidden(root.get("hidden_env"), c.Env)
	c.Files = f.placements(root)
	c.Token = f.decodeToken(root.get("auth_token"), c)
	program := root.get("program")
	c.Program = spec.Program{
		Interactive: f.arguments(program.get("run")), Resume: f.arguments(program.get("resume")),
		Headless: f.arguments(program.get("headless")), HeadlessResume: f.arguments(program.get("headless_resume")),
	}
	if n := program.get("transcript"); n != nil {
		c.Program.Transcript = f.guestPath(n)
	}
	if c.Program.Resume == nil {
		c.Program.Resume = c.Program.Interactive
	}
	for _, item := range root.get("verify").each() {
		c.Program.Verify = append(c.Program.Verify, f.arguments(item))
	}
	if n := root.get("prompt", "file"); n != nil {
		c.PromptFile = f.guestPath(n)
	}
	c.Prompted = f.arguments(root.get("prompt", "arguments"))
	if n := root.get("skills_dir"); n != nil {
		c.SkillsDir = f.guestPath(n)
	}
	return c
}

// literals are variables whose values stand in the file: what a bottle may say
// besides depends on who applies it.
func (f *file) literals(n *node) []spec.Env {
	var env []spec.Env
	declared := f.decodeEnv(n)
	for _, entry := range n.entries() {
		v := declared[entry.key].value
		if v.Kind != EnvLiteral {
			f.fail(entry, "declare it in the bottle's env", "%s must be a literal", entry.path)
		}
		env = append(env, spec.Env{Name: v.Name, Kind: spec.EnvProvider, Value: v.Value})
	}
	return env
}

func (f *file) hidden(n *node, env []spec.Env) []string {
	var known []string
	for _, e := range env {
		known = append(known, e.Name)
	}
	for _, item := range n.each() {
		if item.str() != "" && !slices.Contains(known, item.str()) {
			f.fail(item, suggestion(item.str(), known), "%s names no variable of env", item.path)
		}
	}
	return n.strings()
}

// decodeToken finds the route that a token is for: the rule must be seen where
// the power is.
func (f *file) decodeToken(n *node, c *provider.Custom) *provider.CustomToken {
	if !n.is(isMap) {
		return nil
	}
	t := &provider.CustomToken{
		Host: n.get("host").str(), Port: int(n.get("port").integer(443)), Scheme: n.get("scheme").str(),
		Env: n.get("env").str(),
	}
	if t.Scheme == "" {
		t.Scheme = "Bearer"
	}
	t.Header, t.Query = f.carrier(n)
	if name := n.get("env"); name != nil {
		f.checkEnvName(name, t.Env)
		if slices.ContainsFunc(c.Env, func(e spec.Env) bool { return e.Name == t.Env }) {
			f.fail(name, "remove it from env; it gets a placeholder", "%s is in env too", name.path)
		}
	}
	var hosts []string
	hint := ""
	for _, r := range c.Routes {
		hosts = append(hosts, r.Host)
		if r.Host != t.Host {
			continue
		}
		if r.Port != t.Port {
			hint = "write port: " + strconv.Itoa(r.Port)
			continue
		}
		if r.Auth != nil {
			f.failKey(n, "keep one of them", "auth_token and the auth of routes both say how to log in at %s", t.Host)
		}
		return t
	}
	if host := n.get("host"); t.Host != "" {
		f.fail(host, cmp.Or(hint, suggestion(t.Host, hosts)), "%s: there is no route for %s", host.path, egress.Authority(t.Host, t.Port, 443))
	}
	return t
}

// arguments are a program and what it is given. No shell reads them, so that
// ~/ means something only because bb says so.
func (f *file) arguments(n *node) []string {
	var out []string
	for _, item := range f.filled(n) {
		text := item.str()
		if rest, ok := strings.CutPrefix(text, "~/"); ok {
			text = spec.Home + "/" + rest
		}
		out = append(out, text)
	}
	return out
}

// guestPath is a path below the home directory of a bottle, absolute.
func (f *file) guestPath(n *node) string {
	rest, ok := strings.CutPrefix(n.str(), "~/")
	if !ok {
		return ""
	}
	if path := filepath.Clean(rest); path != rest || !filepath.IsLocal(rest) || path == "." {
		f.fail(n, "no empty segments, no . and no ..", "%s is not a plain path below ~/", n.path)
	}
	return spec.Home + "/" + rest
}

// mode reads octal digits; the schema has judged the form.
func mode(n *node, otherwise int64) int64 {
	if v, err := strconv.ParseInt(n.str(), 8, 32); err == nil {
		return v
	}
	return otherwise
}
