package manifest

import (
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/provider"
)

// decodeProvider reads agent_provider. Which key a provider takes, it says
// itself.
func (f *file) decodeProvider(n *node) ProviderDecl {
	t, custom := f.template(n.get("template"))
	p := ProviderDecl{Template: t.Name, Custom: custom, From: f.pos(n)}
	dockerfile, image := n.get("dockerfile"), n.get("image")
	if dockerfile != nil {
		p.Dockerfile = f.hostPath(dockerfile.str())
	}
	p.Image = image.str()
	if dockerfile != nil && image != nil {
		f.failKey(later(dockerfile, image), "keep one of them", "agent_provider.dockerfile and image exclude each other")
	}
	if token := n.get(provider.KeyAuthToken); token != nil {
		p.AuthToken = token.str()
		f.taken(token, t, provider.KeyAuthToken)
	}
	if forward := n.get(provider.KeyForward); forward != nil {
		p.ForwardHostCredentials = forward.isTrue()
		f.taken(forward, t, provider.KeyForward)
	}
	return p
}

// template finds the provider that a bottle names.
func (f *file) template(n *node) (provider.Template, *provider.Custom) {
	name := n.str()
	if name == "" {
		name = provider.Default
	}
	if t, ok := provider.Builtin(name); ok {
		return t, nil
	}
	if at := f.customs.file(name); at != nil {
		if at.broken() {
			f.failKey(n, "see "+at.shown, "agent_provider.template: the provider %q does not compile", name)
			// What it takes is not known: nothing else is said about it.
			return provider.Template{Name: name, Takes: []string{provider.KeyAuthToken}}, nil
		}
		custom := f.customs.made[name]
		return custom.Template(), custom
	}
	known := append(provider.Names(), f.customs.names()...)
	hint := "there are " + strings.Join(known, ", ")
	if near := diag.Suggest(name, known); near != "" {
		hint = "did you mean \"" + near + "\"?"
	}
	if f.customs.ignores(name) {
		hint = "the repository has one, but providers live in the home directory only"
	}
	f.failKey(n, hint, "agent_provider.template: there is no provider %q", name)
	return provider.Template{Name: name}, nil
}

// taken reports a key that the provider does not take.
func (f *file) taken(n *node, t provider.Template, key string) {
	if slices.Contains(t.Takes, key) {
		return
	}
	only := strings.Join(provider.Taking(key), " or ")
	if at := f.customs.file(t.Name); at != nil && key == provider.KeyAuthToken {
		f.failKey(n, "remove it, or declare auth_token in "+at.shown, "%s: the provider %s takes no token", n.path, t.Name)
		return
	}
	f.failKey(n, "remove it, or set template: "+only, "%s is for template %s only; this one is %s", n.path, only, t.Name)
}

// later is the node that comes second in the file.
func later(a, b *node) *node {
	if a.keyLine > b.keyLine || a.keyLine == b.keyLine && a.keyCol > b.keyCol {
		return a
	}
	return b
}
