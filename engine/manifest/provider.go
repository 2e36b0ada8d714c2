package manifest

// decodeProvider reads agent_provider. Which key belongs to which template is
// part of the language; what a template does with it is not.
func (f *file) decodeProvider(n *node) ProviderDecl {
	p := ProviderDecl{Template: "claude", From: f.pos(n)}
	if t := n.get("template").str(); t != "" {
		p.Template = t
	}
	dockerfile, image := n.get("dockerfile"), n.get("image")
	if dockerfile != nil {
		p.Dockerfile = f.hostPath(dockerfile.str())
	}
	p.Image = image.str()
	if dockerfile != nil && image != nil {
		f.failKey(later(dockerfile, image), "keep one of them", "agent_provider.dockerfile and image exclude each other")
	}
	if token := n.get("auth_token"); token != nil {
		p.AuthToken = token.str()
		f.templateOnly(token, p.Template, "claude")
	}
	if forward := n.get("forward_host_credentials"); forward != nil {
		p.ForwardHostCredentials = forward.isTrue()
		f.templateOnly(forward, p.Template, "codex")
	}
	return p
}

func (f *file) templateOnly(n *node, template, only string) {
	if template != only {
		f.failKey(n, "remove it, or set template: "+only, "%s is for template %s only; this one is %s", n.path, only, template)
	}
}

// later is the node that comes second in the file.
func later(a, b *node) *node {
	if a.keyLine > b.keyLine || a.keyLine == b.keyLine && a.keyCol > b.keyCol {
		return a
	}
	return b
}
