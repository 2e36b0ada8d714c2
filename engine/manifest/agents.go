package manifest

import (
	"path/filepath"
	"slices"
)

// declaredAgent is an agent's file in values, before it meets its bottle.
type declaredAgent struct {
	bottle      *node
	skills      []string
	name, email *node
	replicas    int
	prompt      string
}

func (f *file) decodeAgent() *declaredAgent {
	root, identity := f.root, f.identity()
	a := &declaredAgent{
		bottle: root.get("bottle"), name: identity.get("name"), email: identity.get("email"),
		replicas: int(root.get("replicas").integer(1)), prompt: f.body,
	}
	for i, item := range root.get("skills").each() {
		if first := slices.Index(a.skills, item.str()); first >= 0 && item.str() != "" {
			f.fail(item, "name a skill once", "skills[%d] repeats %q", i, item.str())
		}
		a.skills = append(a.skills, item.str())
	}
	if prompt := root.get("prompt"); prompt != nil {
		if filepath.Ext(f.path) == ".md" {
			f.failKey(prompt, "move it below the frontmatter", "in Markdown the body is the prompt")
		}
		a.prompt = prompt.str()
	}
	return a
}

// checkBottle reports a bottle that is not there.
func (f *file) checkBottle(n *node, bottles *graph, ignored []string) {
	name := n.str()
	if !validName.MatchString(name) || bottles.files[name] != nil {
		return
	}
	hint := available("bottles", name, bottles.names)
	if slices.Contains(ignored, name) {
		hint = "the repository has one, but bottles live in the home directory only"
	}
	f.fail(n, hint, "unknown bottle %q", name)
}

// agent pairs a declaration with its resolved bottle. It is the one place where
// the agent's identity goes over the bottle's.
func (a *declaredAgent) agent(f *file, b *Bottle) *Agent {
	return &Agent{
		Name: f.name, File: f.path, Scope: f.scope, Bottle: b, Skills: a.skills,
		GitUser:  overlay(b.GitUser, a.name.str(), a.email.str(), "agent"),
		Replicas: a.replicas, Prompt: a.prompt, From: a.provenance(f, b),
		digest: agentDigest(b.Name, f.sum),
	}
}
