package plantest

import (
	"slices"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Case is one pair.
type Case struct {
	Group, Name string
	Desired     plan.Desired
	Worlds      []plan.World
	// Destroy plans the removal of these names instead; nil plans the desire.
	Destroy []string
	// Halt stops them instead of removing them.
	Halt bool
	// Removal gives the reasons of a cleanup.
	Removal map[spec.ID]plan.Reason
}

// Plan plans it.
func (c Case) Plan() *plan.Plan {
	if c.Removal != nil {
		return plan.Removal(c.Worlds, func(o plan.Instance) plan.Reason { return c.Removal[o.ID] })
	}
	if c.Destroy != nil {
		var ids []spec.ID
		for _, o := range c.Worlds[0].Instances {
			named := len(c.Destroy) == 0 || slices.Contains(c.Destroy, o.ID.Agent) || slices.Contains(c.Destroy, o.ID.String())
			if named && slices.Contains(c.Desired.Scopes, o.ID.Scope) {
				ids = append(ids, o.ID)
			}
		}
		if c.Halt {
			return plan.Halt(c.Worlds, ids)
		}
		return plan.Destroy(c.Worlds, ids)
	}
	return plan.Diff(c.Desired, c.Worlds)
}

type table struct {
	group string
	cases []Case
}

// on adds a pair with one backend.
func (t *table) on(name string, d plan.Desired, instances []plan.Instance, edits ...worldEdit) {
	w := World("docker", d.Specs, instances...)
	for _, e := range edits {
		e(&w)
	}
	t.cases = append(t.cases, Case{Group: t.group, Name: name, Desired: d, Worlds: []plan.World{w}})
}

// both adds a pair with two backends.
func (t *table) both(name string, d plan.Desired, docker, vm []plan.Instance, edits ...worldEdit) {
	t.on(name, d, docker, edits...)
	c := &t.cases[len(t.cases)-1]
	c.Worlds = append(c.Worlds, World("smolvm", d.Specs, vm...))
}

func (t *table) destroy(name string, names []string, instances []plan.Instance, edits ...worldEdit) {
	t.on(name, Desired(), instances, edits...)
	t.cases[len(t.cases)-1].Destroy = names
}

func (t *table) halt(name string, names []string, instances []plan.Instance) {
	t.destroy(name, names, instances)
	t.cases[len(t.cases)-1].Halt = true
}

func list(i ...plan.Instance) []plan.Instance { return i }

// Cases are all pairs.
func Cases() []Case {
	t := &table{}
	for _, g := range []struct {
		name string
		fill func(*table)
	}{
		{"basic", basic},
		{"fixed", fixedHalf},
		{"live", liveHalf},
		{"git", gitGate},
		{"sidecar", sidecars},
		{"fleet", fleets},
		{"scopes", scopes},
		{"move", moves},
		{"foreign", strangers},
		{"removal", removals},
	} {
		t.group = g.name
		g.fill(t)
	}
	return t.cases
}

func basic(t *table) {
	dev := Spec("dev")
	t.on("nothing desired and nothing there", Desired(), nil)
	t.on("create", Desired(dev), nil)
	t.on("unchanged", Desired(dev), list(Running(dev)))
	t.on("create with all that is done inside", Desired(Spec("dev", identity, prompt, skills, token, secretEnv, login("l1"))), nil)
	t.on("create behind other proxies, with hits", Desired(Spec("dev", routes(
		route("a.example.com", dlp(egress.DLP{OnMatch: "redact", Stream: true})), route("b.example.com", dlp(egress.DLP{Patterns: "redact"})),
		route("c.example.com", func(r *egress.Route) { r.Tunnel = true }),
	), token, parent("http://proxy.example.com:3128", "PROXY"), piped)), nil)
	t.on("half-made, only volumes", Desired(dev), list(Running(dev, agentGone, sidecarGone)))
	t.on("half-made, agent and volumes, never configured", Desired(dev), list(Running(dev, agentStopped, unconfigured)))
	t.on("stopped", Desired(dev), list(Running(dev, agentStopped)))
	t.on("stopped, with identity and secret environment", Desired(Spec("dev", identity, secretEnv)), list(Running(Spec("dev", identity, secretEnv), agentStopped)))
	t.on("stopped, and its identity is not declared any more", Desired(dev), list(Running(Spec("dev", identity), agentStopped)))
	t.on("stopped, and nothing of it is declared any more", Desired(dev), list(Running(Spec("dev", identity, prompt, skills), agentStopped)))
	t.on("stopped, other routes, outdated sidecar", Desired(Spec("dev", routes(route("b.example.com")))), list(Running(dev, agentStopped, sidecarOutdated)))
	t.on("stopped and to be replaced", Desired(Spec("dev", port2)), list(Running(dev, agentStopped)))
	t.on("network of another's making is used", Desired(dev), list(Running(dev)), func(w *plan.World) { w.SharedNetwork = "foreign" })
}

func fixedHalf(t *table) {
	dev := Spec("dev")
	t.on("environment changed", Desired(Spec("dev", port2)), list(Running(dev)))
	t.on("environment added and removed", Desired(Spec("dev", func(s *spec.Spec) {
		s.Fixed.Env = []spec.Env{{Name: "NEW", Kind: spec.EnvLiteral, Value: "x"}}
	})), list(Running(dev)))
	t.on("everything changed", Desired(Spec("dev", func(s *spec.Spec) {
		s.Fixed = spec.Fixed{
			Backend: "docker", Provider: "other", Supervise: true, Files: "v1:2",
			Resources: spec.Resources{CPUs: 2, Memory: 1 << 30, Disk: 1 << 30, PIDs: 9},
			Workspace: spec.Workspace{Mode: "copy", Path: "/src", GuestPath: "/w"},
		}
	}, identity, prompt, skills, token, onLAN)), list(Running(dev)), image(dev, "img:2"))
	t.on("replaced with a wider gate", Desired(Spec("dev", port2, identity, token)), list(Running(dev)))
	t.on("replaced with another sidecar", Desired(Spec("dev", port2, onLAN)), list(Running(dev, sidecarOutdated)))
	t.on("pipelock turned on", Desired(Spec("dev", piped)), list(Running(dev)))
	t.on("pipelock kept", Desired(Spec("dev", piped)), list(Running(Spec("dev", piped))))
	t.on("another pipelock", Desired(Spec("dev", piped)), list(Running(Spec("dev", piped), func(i *plan.Instance) { i.Sidecar.Image = "side:p0" })))
	t.on("image changed", Desired(dev), list(Running(dev)), image(dev, "img:2"))
	t.on("image moved under its name", Desired(dev), list(Running(dev, func(i *plan.Instance) { i.Agent.Image = "debian:12@sha256:1" })), image(dev, "debian:12@sha256:2"))
	t.on("another image named", Desired(dev), list(Running(dev, func(i *plan.Instance) { i.Agent.Image = "debian:12@sha256:1" })), image(dev, "debian:13@sha256:2"))
	t.on("image unknown is no change", Desired(dev), list(Running(dev)), image(dev, ""))
	t.on("confined by an older bb", Desired(dev), list(Running(dev, agentOld)))
	t.on("agent and sidecar of an older bb", Desired(dev), list(Running(dev, agentOld, sidecarOutdated, func(i *plan.Instance) { i.Sidecar.Version = "0.9" })))
	t.on("labels of an older form", Desired(dev), list(Running(dev, otherForm)))
	t.on("labels of another version with the same fields", Desired(dev), list(Running(dev, func(i *plan.Instance) { i.Agent.Spec = "v0:1" })))
	t.on("agent altered", Desired(dev), list(Running(dev, agentAltered)))
	t.on("agent altered and stopped, sidecar altered", Desired(dev), list(Running(dev, agentAltered, agentStopped, sidecarAltered)))
}

func liveHalf(t *table) {
	dev, withToken := Spec("dev"), Spec("dev", token)
	t.on("route added, changed and removed", Desired(Spec("dev", routes(
		route("api.example.com", matches(egress.Match{Paths: []string{"/a"}})), route("b.example.com", func(r *egress.Route) { r.Port = 8443 }),
	))), list(Running(Spec("dev", routes(route("api.example.com"), route("old.example.com", func(r *egress.Route) { r.TLSPassthrough = true }))))))
	t.on("every attribute of a route", Desired(Spec("dev", token, func(s *spec.Spec) {
		r := &s.Live.Routes[0]
		r.Auth.Header, r.TLSPassthrough, r.GitFetch, r.WebSocket = "X-Key", true, true, true
		r.SSRFIPAllowlist, r.MaxBody, r.Strip = []string{"10.0.0.0/8"}, 4096, []string{"x-more"}
		r.DLP, r.Matches = &egress.DLP{OnMatch: "block", Stream: true}, []egress.Match{{Methods: []string{"GET"}, Paths: []string{"/a", "/b"}}}
	})), list(Running(dev)))
	t.on("one of several matches changed", Desired(Spec("dev", routes(route("api.example.com",
		matches(egress.Match{Methods: []string{"GET"}, Paths: []string{"/a"}}, egress.Match{Paths: []string{"/c"}}))))),
		list(Running(Spec("dev", routes(route("api.example.com",
			matches(egress.Match{Methods: []string{"GET"}, Paths: []string{"/a"}}, egress.Match{Paths: []string{"/b"}})))))))
	t.on("routes reordered", Desired(Spec("dev", routes(route("a.example.com"), route("b.example.com")))),
		list(Running(Spec("dev", routes(route("b.example.com"), route("a.example.com"))))))
	t.on("extra roots and a path", Desired(Spec("dev", func(s *spec.Spec) {
		s.Live.UpstreamCA = "PEM"
		s.Live.Routes[0].Matches = []egress.Match{{Paths: []string{"/a"}}}
	})), list(Running(dev)))
	t.on("roots as a sidecar shows them, and a path", Desired(Spec("dev", func(s *spec.Spec) {
		s.Live.UpstreamCA = "PEM"
		s.Live.Routes[0].Matches = []egress.Match{{Paths: []string{"/a"}}}
	})), list(Running(Spec("dev", func(s *spec.Spec) { s.Live.UpstreamCA = "PEM" }), func(i *plan.Instance) {
		i.Document.UpstreamCA = "sha256:384fb9a44fabe158be2757b9b8d8f67029f2280fcc1776ab2a53103e6f0c582d"
	})))
	t.on("what hits do", Desired(Spec("dev", routes(
		route("a.example.com", dlp(egress.DLP{OnMatch: "redact", Stream: true})), route("b.example.com", dlp(egress.DLP{Patterns: "redact"})),
		route("c.example.com"), route("d.example.com", dlp(egress.DLP{OnMatch: "supervise"})),
	))), list(Running(Spec("dev", routes(
		route("a.example.com"), route("b.example.com"), route("c.example.com", dlp(egress.DLP{OnMatch: "redact"})),
	)))))
	t.on("a parent proxy", Desired(Spec("dev", parent("http://proxy.example.com:3128", ""))), list(Running(dev)))
	t.on("a parent proxy with a token, beside a route's", Desired(Spec("dev", token, parent("https://proxy.example.com:443", "PROXY"))), list(Running(withToken)))
	t.on("a parent proxy with a route's token", Desired(Spec("dev", token, parent("http://proxy.example.com:3128", "TOKEN"))), list(Running(withToken)))
	t.on("another parent proxy", Desired(Spec("dev", parent("http://other.example.com:3128", ""))), list(Running(Spec("dev", parent("http://proxy.example.com:3128", "PROXY")))))
	t.on("another token for the parent proxy", Desired(Spec("dev", parent("http://proxy.example.com:3128", "OTHER"))), list(Running(Spec("dev", parent("http://proxy.example.com:3128", "PROXY")))))
	t.on("no parent proxy any more", Desired(dev), list(Running(Spec("dev", parent("http://proxy.example.com:3128", "")))))
	behind := Spec("dev", parent("http://proxy.example.com:3128", "TOKEN"))
	t.on("a parent proxy's token rotated", want([]desireEdit{rotated(behind)}, behind), list(Running(behind)))
	t.on("a parent proxy that bb did not give", Desired(dev), list(Running(dev, otherParent)))
	t.on("hits as bb did not say", Desired(dev), list(Running(dev, func(i *plan.Instance) {
		doc := egress.Document{Routes: routesWith(i.Document.Routes, dlp(egress.DLP{OnMatch: "redact"}))}
		i.State.Rules, i.Document = doc.Rules().Digest(), &doc
	})))
	t.on("a canary is no difference", Desired(Spec("dev", func(s *spec.Spec) {
		s.Canary = "canary-of-dev"
		s.Fixed.Env = append(s.Fixed.Env, spec.Env{Name: spec.CanaryEnv, Kind: spec.EnvBB, Value: s.Canary})
	})), list(Running(dev)))
	t.on("routes changed, document unread", Desired(Spec("dev", routes(route("b.example.com")))), list(Running(dev, unread)))
	t.on("all routes gone", Desired(Spec("dev", routes())), list(Running(dev)))
	t.on("a line that moved is no change", Desired(Spec("dev", func(s *spec.Spec) { s.Live.Routes[0].Source = "bottle dev.md:9" })), list(Running(dev)))
	t.on("identity alone", Desired(Spec("dev", identity)), list(Running(dev)))
	t.on("identity removed", Desired(dev), list(Running(Spec("dev", identity))))
	t.on("prompt alone", Desired(Spec("dev", prompt)), list(Running(dev)))
	t.on("skills alone", Desired(Spec("dev", skills)), list(Running(dev)))
	t.on("identity, prompt, skills and routes together", Desired(Spec("dev", identity, prompt, skills, routes(route("b.example.com")))), list(Running(dev)))
	t.on("secret environment not handed over", Desired(Spec("dev", secretEnv)), list(Running(Spec("dev", secretEnv),
		func(i *plan.Instance) { delete(i.State.Live, spec.PartEnv) })))
	t.on("the lent login changed", Desired(Spec("dev", login("l2"))), list(Running(Spec("dev", login("l1")))))
	t.on("the lent login cannot be read", Desired(Spec("dev", func(s *spec.Spec) { s.Live.Unknown = []string{spec.PartLogin} })),
		list(Running(Spec("dev", login("l1")))))
	t.on("the login is lent no more", Desired(dev), list(Running(Spec("dev", login("l1")))))
	t.on("token rotated", want([]desireEdit{rotated(withToken)}, withToken), list(Running(withToken)))
	t.on("token rotated and another identity", want([]desireEdit{rotated(withToken)}, Spec("dev", token, identity)), list(Running(withToken)))
	t.on("the ssh-agent is gone", Desired(withToken), list(Running(withToken, sshAgent(egress.AgentGone))))
	t.on("the ssh-agent is there", Desired(withToken), list(Running(withToken, sshAgent(egress.AgentConnected))))
	t.on("token unknown is no change", Desired(withToken), list(Running(withToken)))
	t.on("rules that bb did not give", Desired(dev), list(Running(dev, otherRules)))
	t.on("rules that bb did not give, other routes wanted", Desired(Spec("dev", routes(route("b.example.com")))), list(Running(dev, otherRules)))
	t.on("a sidecar that does not say its rules is believed", Desired(dev), list(Running(dev, func(i *plan.Instance) { i.State.Rules = "" })))
}

func gitGate(t *table) {
	dev, origin := Spec("dev"), Spec("dev", remotes(remote("origin")))
	t.on("created with remotes", Desired(Spec("dev", remotes(remote("docs", pushing(egress.Push{Off: true})), remote("origin")))), nil)
	t.on("unchanged", Desired(origin), list(Running(origin)))
	t.on("added", Desired(origin), list(Running(dev)))
	t.on("removed", Desired(dev), list(Running(origin)))
	t.on("one added, one removed", Desired(Spec("dev", remotes(remote("docs")))), list(Running(origin)))
	t.on("everything of one changed", Desired(Spec("dev", remotes(remote("origin", func(r *egress.Remote) {
		r.Upstream, r.HostKey = "ssh://git@git.example.com:2222/o/other.git", "ssh-ed25519 BBBB"
		r.Push = egress.Push{Allow: []string{"refs/heads/agent/*"}, Force: true, Delete: true, Tags: true, Protect: []string{"Makefile"}}
	})))), list(Running(origin)))
	t.on("pushes turned off", Desired(Spec("dev", remotes(remote("origin", pushing(egress.Push{Off: true}))))), list(Running(origin)))
	t.on("nothing is protected any more", Desired(Spec("dev", remotes(remote("origin", pushing(egress.Push{}))))), list(Running(origin)))
	t.on("another key file", Desired(Spec("dev", remotes(remote("origin")), func(s *spec.Spec) {
		s.Live.Tokens["GIT_CREDENTIAL_0"] = "key:~/.ssh/other"
	})), list(Running(origin)))
	t.on("the key file holds another key", want([]desireEdit{rotated(origin)}, origin), list(Running(origin)))
	withToken := Spec("dev", remotes(remote("origin")), token)
	t.on("a token and a key rotated", want([]desireEdit{rotated(withToken)}, withToken), list(Running(withToken)))
	t.on("changed, document unread", Desired(origin), list(Running(dev, unread)))
	t.on("a line that moved is no change", Desired(Spec("dev", remotes(remote("origin", func(r *egress.Remote) { r.Source = "bottle dev.md:9" })))), list(Running(origin)))
	t.on("with routes and an identity", Desired(Spec("dev", remotes(remote("origin")), identity, routes(route("b.example.com")))), list(Running(dev)))
	t.on("routes alone, remotes stay", Desired(Spec("dev", remotes(remote("origin")), routes(route("b.example.com")))), list(Running(origin)))
	t.on("remotes that bb did not give", Desired(origin), list(Running(origin, otherRemotes)))
	t.on("remotes that bb did not give, and none is wanted", Desired(dev), list(Running(dev, otherRemotes)))
	t.on("stopped", Desired(origin), list(Running(origin, agentStopped)))
	t.on("stopped, and no remote is declared any more", Desired(dev), list(Running(origin, agentStopped)))
	t.on("replaced, with another remote", Desired(Spec("dev", port2, remotes(remote("docs")))), list(Running(origin)))
	t.on("claimed by a sidecar that was configured, never done inside", Desired(origin), list(Running(origin, func(i *plan.Instance) {
		delete(i.State.Live, spec.PartGit)
	})))
	t.on("the sidecar lost it", Desired(origin), list(Running(origin, unconfigured)))
}

// sidecars: each state of the sidecar, for each state of the agent.
func sidecars(t *table) {
	dev := Spec("dev", identity, secretEnv)
	agents := []struct {
		name string
		s    *spec.Spec
		edit instanceEdit
	}{
		{"agent runs", dev, func(*plan.Instance) {}},
		{"agent stopped", dev, agentStopped},
		{"agent gone", dev, agentGone},
		{"agent to be replaced", Spec("dev", identity, secretEnv, port2), func(*plan.Instance) {}},
	}
	states := []struct {
		name  string
		edits []instanceEdit
	}{
		{"fits", nil},
		{"gone", []instanceEdit{sidecarGone}},
		{"stopped", []instanceEdit{sidecarStopped}},
		{"unconfigured", []instanceEdit{unconfigured}},
		{"outdated", []instanceEdit{sidecarOutdated}},
		{"on another network", []instanceEdit{sidecarElsewhere}},
		{"with pipelock", []instanceEdit{sidecarPiped}},
		{"altered", []instanceEdit{sidecarAltered}},
		{"all of it", []instanceEdit{sidecarStopped, sidecarOutdated, sidecarElsewhere, sidecarAltered}},
		{"gone with its volumes", []instanceEdit{sidecarGone, volumesGone}},
	}
	for _, a := range agents {
		for _, s := range states {
			t.on(a.name+", sidecar "+s.name, Desired(a.s), list(Running(dev, append(s.edits, a.edit)...)))
		}
	}
}
