package plantest

import (
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Edits of a desire.

func identity(s *spec.Spec) { s.Live.GitUser = spec.GitUser{Name: "A B", NameFrom: "agent"} }

// remotes puts the spec behind the git gate, with one key for all of them.
func remotes(list ...egress.Remote) specEdit {
	return func(s *spec.Spec) {
		s.Live.Remotes = list
		delete(s.Live.Tokens, "GIT_CREDENTIAL_0")
		if len(list) > 0 {
			s.Live.Tokens["GIT_CREDENTIAL_0"] = "key:~/.ssh/deploy"
		}
	}
}

func remote(name string, edits ...func(*egress.Remote)) egress.Remote {
	r := egress.Remote{
		Name: name, Upstream: "ssh://git@git.example.com/o/" + name + ".git", HostKey: "ssh-ed25519 AAAA",
		Slot: "GIT_CREDENTIAL_0", Push: egress.Push{Protect: egress.DefaultProtect}, Source: "bottle dev.md:12",
	}
	for _, e := range edits {
		e(&r)
	}
	return r
}

func pushing(p egress.Push) func(*egress.Remote) {
	return func(r *egress.Remote) { r.Push = p }
}

// otherRemotes: somebody gave the sidecar a document of their own.
func otherRemotes(i *plan.Instance) {
	doc := *i.Document
	doc.Remotes = []egress.Remote{remote("origin", pushing(egress.Push{Force: true}))}
	i.State.Rules, i.Document = doc.Rules().Digest(), &doc
}

func login(digest string) specEdit {
	return func(s *spec.Spec) {
		s.Live.Login, s.Program.Verify = digest, [][]string{{"program", "login", "status"}}
	}
}
func prompt(s *spec.Spec) { s.Live.Prompt = "be kind" }
func skills(s *spec.Spec) { s.Live.Skills = []spec.Skill{{Name: "init-prd", Digest: "d1"}} }
func port2(s *spec.Spec)  { s.Fixed.Env[0].Value = "2" }
func onLAN(s *spec.Spec)  { s.Gate.Network = "lan" }
func piped(s *spec.Spec)  { s.Gate.Pipelock = true }
func inRepo(s *spec.Spec) { s.ID.Scope = Repo }

func onVM(s *spec.Spec) { s.Backend, s.Fixed.Backend = "smolvm", "smolvm" }

func secretEnv(s *spec.Spec) {
	s.Fixed.Env = append(s.Fixed.Env, spec.Env{Name: "GITEA_TOKEN", Kind: spec.EnvHost, Value: "GITEA"})
}

func token(s *spec.Spec) {
	if len(s.Live.Routes) == 0 {
		s.Live.Routes = []egress.Route{route("api.example.com")}
	}
	s.Live.Routes[0].Auth = &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}
	s.Live.Tokens["EGRESS_TOKEN_0"] = "TOKEN"
}

// parent puts the spec behind a proxy; ref is the token that it wants, or "".
func parent(url, ref string) specEdit {
	return func(s *spec.Spec) {
		s.Live.Parent = &egress.Parent{URL: url}
		if ref == "" {
			return
		}
		s.Live.Parent.Slot = "EGRESS_TOKEN_0"
		if known, ok := s.Live.Tokens["EGRESS_TOKEN_0"]; ok && known != ref {
			s.Live.Parent.Slot = "EGRESS_TOKEN_1"
		}
		s.Live.Tokens[s.Live.Parent.Slot] = ref
	}
}

func dlp(d egress.DLP) func(*egress.Route) {
	return func(r *egress.Route) { r.DLP = &d }
}

// routesWith edits copies of routes.
func routesWith(list []egress.Route, edit func(*egress.Route)) []egress.Route {
	out := egress.CloneRoutes(list)
	for i := range out {
		edit(&out[i])
	}
	return out
}

func replica(n string) specEdit { return func(s *spec.Spec) { s.ID.Replica = n } }

func routes(list ...egress.Route) specEdit {
	return func(s *spec.Spec) { s.Live.Routes = list }
}

func route(host string, edits ...func(*egress.Route)) egress.Route {
	r := egress.Route{Host: host, Port: 443, Source: "bottle dev.md:4"}
	for _, e := range edits {
		e(&r)
	}
	return r
}

func matches(list ...egress.Match) func(*egress.Route) {
	return func(r *egress.Route) { r.Matches = list }
}

// Edits of an instance.

func agentGone(i *plan.Instance)    { i.Agent = nil }
func agentStopped(i *plan.Instance) { i.Agent.Running, i.Agent.Status = false, "Exited (0)" }
func agentAltered(i *plan.Instance) {
	i.Agent.Altered = []string{"network bridge was attached", "memory limit raised"}
}
func agentOld(i *plan.Instance)         { i.Agent.Confinement = "c0" }
func sidecarGone(i *plan.Instance)      { i.Sidecar, i.State, i.Document = nil, nil, nil }
func sidecarStopped(i *plan.Instance)   { i.Sidecar.Running, i.State, i.Document = false, nil, nil }
func sidecarOutdated(i *plan.Instance)  { i.Sidecar.Image = "side:0" }
func sidecarElsewhere(i *plan.Instance) { i.Sidecar.Network = "wan" }
func sidecarPiped(i *plan.Instance)     { i.Sidecar.Pipelock, i.Sidecar.Image = true, "side:p" }
func sidecarAltered(i *plan.Instance)   { i.Sidecar.Altered = []string{"network host was attached"} }
func volumesGone(i *plan.Instance)      { i.Leftovers = nil }

func unconfigured(i *plan.Instance) {
	i.State, i.Document = &egress.StateLine{Version: 1, State: egress.StateUnconfigured}, nil
}

func otherRules(i *plan.Instance) {
	all := []egress.Route{route("**.example.com")}
	i.State.Rules, i.Document = egress.Rules{Routes: all}.Digest(), &egress.Document{Routes: all}
}

func otherParent(i *plan.Instance) {
	doc := *i.Document
	doc.Parent = &egress.Parent{URL: "http://elsewhere.example.com:3128"}
	i.State.Rules, i.Document = doc.Rules().Digest(), &doc
}

func sshAgent(word string) func(*plan.Instance) {
	return func(i *plan.Instance) { i.State.Agent = word }
}

func unread(i *plan.Instance)    { i.Document = nil }
func otherForm(i *plan.Instance) { i.Agent.Spec, i.Agent.SpecJSON = "v0:1", "not JSON" }

// Edits of a world.

func foreign(kind, name string) worldEdit {
	return func(w *plan.World) { w.Foreign = append(w.Foreign, plan.Foreign{Kind: kind, Name: name}) }
}

func renamed(name, was string) worldEdit {
	return func(w *plan.World) {
		w.Foreign = append(w.Foreign, plan.Foreign{Kind: "container", Name: name, Labels: was})
	}
}

func image(s *spec.Spec, ref string) worldEdit {
	return func(w *plan.World) { w.Images[s.ID.Name()] = plan.ImageState{Ref: ref} }
}

// Edits of a command.

func pruning(d *plan.Desired) { d.Prune = true }

func declared(agents ...string) desireEdit {
	return func(d *plan.Desired) {
		for _, a := range agents {
			d.Declared = append(d.Declared, plan.Agent{Scope: Home, Name: a})
		}
	}
}

func only(agents ...plan.Agent) desireEdit {
	return func(d *plan.Desired) { d.Want = agents }
}

func rotated(s *spec.Spec) desireEdit {
	return func(d *plan.Desired) {
		d.Digests[s.ID.Name()] = map[string]string{
			"EGRESS_TOKEN_0":   Key.Digest(s.ID.Name(), "TOKEN", "new"),
			"GIT_CREDENTIAL_0": Key.Digest(s.ID.Name(), "key:~/.ssh/deploy", "new"),
		}
	}
}
