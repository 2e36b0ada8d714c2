package plantest

import (
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

func fleets(t *table) {
	one, two, ten := Spec("dev"), Spec("dev", replica("2")), Spec("dev", replica("10"))
	t.on("replicas up", Desired(one, two, ten), list(Running(one)))
	t.on("replicas down", Desired(one), list(Running(one), Running(two), Running(ten)))
	t.on("replicas down to none", want([]desireEdit{declared("dev")}), list(Running(one), Running(two)))
	t.on("replicas down and routes changed", Desired(Spec("dev", prompt)), list(Running(one), Running(two)))
	t.on("ad-hoc instance beside a declared one", want([]desireEdit{pruning}, one), list(Running(one), Running(Spec("dev", replica("x7f3")))))
	t.on("ad-hoc instance of nothing declared", want([]desireEdit{pruning}), list(Running(Spec("dev", replica("x7f3")))))
	a, b := Spec("a"), Spec("b")
	c := Spec("c", func(s *spec.Spec) { s.Image = spec.Image{Name: "other", Recipe: "FROM y"} })
	t.on("agents share an image", Desired(a, b, c), nil)
	t.on("one of each", want([]desireEdit{pruning, declared("less")},
		Spec("new"), Spec("same"), Spec("stopped"), Spec("live", prompt), Spec("fixed", port2), Spec("taken")),
		list(Running(Spec("same")), Running(Spec("stopped"), agentStopped), Running(Spec("live")), Running(Spec("fixed")),
			Running(Spec("gone")), Running(Spec("less"))),
		foreign("container", Spec("taken").ID.Name()))
	t.both("several backends", Desired(a, Spec("b", onVM)), nil, nil)
	t.on("names narrow both sides", want([]desireEdit{pruning, only(plan.Agent{Name: "dev"})}, one, Spec("other")),
		list(Running(one), Running(Spec("gone")), Running(Spec("other"), agentStopped)),
		renamed("bb-copy", Spec("other").ID.Name()))
}

func scopes(t *table) {
	home, repo := Spec("dev"), Spec("dev", inRepo)
	other := Spec("dev", func(s *spec.Spec) { s.ID.Scope = Other })
	t.on("another scope is left alone", want([]desireEdit{pruning}), list(Running(other), Running(Spec("x", func(s *spec.Spec) { s.ID.Scope = Other }), agentStopped)))
	t.on("one name in two scopes", Desired(home, repo), list(Running(repo)))
	shadowed := func(d *plan.Desired) { d.Outside = []plan.Agent{{Scope: Home, Name: "dev"}} }
	t.on("shadowed home agent", want([]desireEdit{pruning, shadowed}, repo), list(Running(home), Running(repo)))
	t.on("shadowed home agent, named", want([]desireEdit{shadowed, only(plan.Agent{Scope: Home, Name: "dev"}), func(d *plan.Desired) {
		d.Declared = append(d.Declared, plan.Agent{Scope: Repo, Name: "dev"})
	}}, home), list(Running(home), Running(Spec("dev", replica("2"))), Running(repo)))
	unread := func(d *plan.Desired) {
		d.NotAllowed = []plan.Agent{{Scope: Repo, Name: "dev"}}
		d.Declared = []plan.Agent{{Scope: Repo, Name: "dev"}}
	}
	t.on("not allowed", want([]desireEdit{unread}, repo), nil)
	t.on("not allowed any more, running", want([]desireEdit{unread, pruning}, Spec("dev", inRepo, port2)), list(Running(repo)))
	t.on("not allowed, fewer replicas", want([]desireEdit{unread, pruning}), list(Running(repo)))
	broken := func(d *plan.Desired) { d.Broken = []string{"dev"} }
	t.on("manifest broken", want([]desireEdit{broken, pruning}), list(Running(home), Running(Spec("gone"))))
}

func moves(t *table) {
	docker, vm := Spec("dev"), Spec("dev", onVM)
	t.both("to another backend", Desired(docker), nil, list(Running(vm)))
	t.both("to another backend with other halves", Desired(Spec("dev", port2, prompt, routes(route("b.example.com")))), nil, list(Running(vm)))
	t.both("from labels of an older form", Desired(docker), nil, list(Running(vm, otherForm)))
	t.both("half-made here", Desired(docker), list(Running(docker, agentGone, unconfigured)), list(Running(vm)))
	t.both("done here, leftovers there", Desired(docker), list(Running(docker)), list(Running(vm, agentGone, sidecarGone)))
	t.both("on both, here stopped", Desired(docker), list(Running(docker, agentStopped)), list(Running(vm)))
	t.both("on both, here to be replaced", Desired(Spec("dev", port2)), list(Running(docker)), list(Running(vm)))
	t.both("only leftovers there", Desired(docker), nil, list(Running(vm, agentGone, sidecarGone)))
	t.both("undeclared on both", want([]desireEdit{pruning}), list(Running(docker)), list(Running(vm)))
	t.both("name taken here", Desired(docker), nil, list(Running(vm)), foreign("container", docker.ID.Name()))
	t.both("name taken there", Desired(vm), list(Running(docker, sidecarGone)), nil, foreign("container", docker.ID.Sidecar()))
}

func strangers(t *table) {
	dev := Spec("dev")
	id := dev.ID
	t.on("agent's name", Desired(dev), nil, foreign("container", id.Name()))
	t.on("sidecar's name", Desired(dev), list(Running(dev, sidecarGone)), foreign("container", id.Sidecar()))
	t.on("door's name", Desired(dev), nil, foreign("volume", id.DoorVolume()))
	t.on("CA's name", Desired(dev), nil, foreign("volume", id.CAVolume()))
	t.on("agent renamed", Desired(dev), list(Running(dev, agentGone)), renamed("bb-old", id.Name()))
	t.on("sidecar renamed", Desired(dev), list(Running(dev, sidecarGone)), renamed("bb-old", id.Sidecar()))
	t.on("sidecar renamed, agent gone", Desired(dev), list(Running(dev, sidecarGone, agentGone)), renamed("bb-old", id.Sidecar()))
	t.on("both renamed", Desired(dev), list(Running(dev, sidecarGone, agentGone)), renamed("bb-x", id.Name()), renamed("bb-y", id.Sidecar()))
	t.on("renamed onto another's name", Desired(dev, Spec("b")), list(Running(dev, agentGone), Running(Spec("b"), agentGone)), renamed(Spec("b").ID.Name(), id.Name()))
	t.on("a copy beside the good one", Desired(dev), list(Running(dev)), renamed("bb-copy", id.Name()))
	t.on("renamed, of nothing declared", Desired(), nil, renamed("bb-old", id.Name()))
}

func removals(t *table) {
	dev := Spec("dev")
	all := list(Running(dev), Running(Spec("dev", replica("2"))), Running(Spec("dev", replica("x7f3"))), Running(Spec("b", inRepo)),
		Running(Spec("z", func(s *spec.Spec) { s.ID.Scope = Other })))
	t.on("not declared is kept", Desired(), list(Running(dev)))
	t.on("not declared, pruned", want([]desireEdit{pruning}), list(Running(dev)))
	t.on("not declared, one named", want([]desireEdit{func(d *plan.Desired) { d.Pruned = []spec.ID{dev.ID} }}), list(Running(dev), Running(Spec("b"))))
	t.on("leftovers only", want([]desireEdit{pruning}), list(Running(dev, agentGone, sidecarGone)))
	t.on("not declared, its sidecar's name is taken", want([]desireEdit{pruning}), list(Running(dev, sidecarGone)), foreign("container", dev.ID.Sidecar()))
	t.on("scaled down, a volume is another's", want([]desireEdit{declared("dev")}),
		list(Running(dev, agentGone, sidecarGone)), foreign("volume", dev.ID.CAVolume()))
	t.on("cleaned up", Desired(), append(list(Running(Spec("b", inRepo)), Running(Spec("half"), agentGone)), all[0]))
	t.cases[len(t.cases)-1].Removal = map[spec.ID]plan.Reason{
		Spec("b", inRepo).ID: plan.ScopeGone, Spec("half").ID: plan.HalfMade,
	}
	t.destroy("destroy all", []string{}, all)
	t.destroy("destroy an agent", []string{"dev"}, all)
	t.destroy("destroy an instance", []string{"dev_2"}, all)
	t.destroy("destroy, of another scope", []string{"z"}, all)
	t.halt("stop an agent", []string{"dev"}, all)
	t.halt("stop what is stopped", []string{"dev"}, list(Running(dev, agentStopped, sidecarStopped)))
	t.halt("stop the one half that runs", []string{"dev"}, list(Running(dev, agentStopped)))
	t.destroy("destroy, its name is taken", []string{"dev"}, list(Running(dev, agentGone)), foreign("container", dev.ID.Name()))
}
