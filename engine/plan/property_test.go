package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/plan/plantest"
	"github.com/bot-bottle/bb/engine/spec"
)

const seeds = 500

// TestProperties holds every plan of random pairs to what must be true of all.
func TestProperties(t *testing.T) {
	for seed := range uint64(seeds) {
		d, worlds := plantest.Random(rand.New(rand.NewPCG(seed, 4)))
		p := plan.Diff(d, worlds)
		for _, complaint := range slices.Concat(order(p), subjects(p, d, worlds)) {
			t.Errorf("seed %d: %s\n%s", seed, complaint, p)
		}
		q := plan.Destroy(worlds, inScopes(d, worlds))
		for _, complaint := range slices.Concat(order(q), strangers(q, worlds)) {
			t.Errorf("seed %d, destroy: %s\n%s", seed, complaint, q)
		}
		if t.Failed() {
			return
		}
	}
}

// order: the graph is acyclic and listed in topological order, and within an
// instance everything happens behind what makes it safe.
func order(p *plan.Plan) (complaints []string) {
	say := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	behind := map[int]map[int]bool{} // transitively
	for i, n := range p.Nodes {
		if n.ID != i+1 {
			say("node %d is number %d", n.ID, i+1)
		}
		behind[n.ID] = map[int]bool{}
		for _, d := range n.DependsOn {
			if d >= n.ID || d < 1 {
				say("#%d waits for #%d", n.ID, d)
				continue
			}
			behind[n.ID][d] = true
			for k := range behind[d] {
				behind[n.ID][k] = true
			}
		}
	}
	for _, n := range p.Nodes {
		for _, m := range p.Nodes {
			if m.Instance != n.Instance || m.Backend != n.Backend || m.ID == n.ID {
				continue
			}
			if mustFollow(m.Op, n.Op) && !behind[n.ID][m.ID] && !behind[m.ID][n.ID] {
				say("#%d %s and #%d %s of one instance are in no order", n.ID, n.Op, m.ID, m.Op)
			}
			if first(m.Op, n.Op) && !behind[n.ID][m.ID] {
				say("#%d %s is not behind #%d %s", n.ID, n.Op, m.ID, m.Op)
			}
		}
		if n.Op == plan.OpStartAgent && !has(p, behind[n.ID], n.Instance, plan.OpConfigure) {
			say("#%d starts an agent behind no configured gate", n.ID)
		}
		if n.Op == plan.OpCreateAgent && !has(p, behind[n.ID], spec.ID{}, plan.OpEnsureImage) {
			say("#%d creates an agent of an image that may not be there", n.ID)
		}
	}
	return complaints
}

// mustFollow: two operations on one instance are never at once, but for the
// image, which only its creation and removal need.
func mustFollow(a, b plan.Op) bool { return a != plan.OpEnsureImage && b != plan.OpEnsureImage }

// first reports whether a comes before b, where both happen to an instance.
func first(a, b plan.Op) bool {
	return slices.Contains([][2]plan.Op{
		{plan.OpCreateSidecar, plan.OpConfigure},
		{plan.OpStartSidecar, plan.OpConfigure},
		{plan.OpCreateSidecar, plan.OpRemoveAgent}, // what replaces it is ready
		{plan.OpRemoveAgent, plan.OpConfigure},     // the old one is not handed new powers
		{plan.OpRemoveAgent, plan.OpCreateAgent},
		{plan.OpCreateAgent, plan.OpStartAgent},
		{plan.OpStartAgent, plan.OpProvision},
		{plan.OpRemoveAgent, plan.OpRemoveSidecar},
		{plan.OpRemoveSidecar, plan.OpRemoveVolumes},
	}, [2]plan.Op{a, b})
}

func has(p *plan.Plan, among map[int]bool, id spec.ID, op plan.Op) bool {
	for k := range among {
		if n := p.Nodes[k-1]; n.Op == op && (id == spec.ID{} || n.Instance == id) {
			return true
		}
	}
	return false
}

// subjects: only what a change says something happens to is touched.
func subjects(p *plan.Plan, d plan.Desired, worlds []plan.World) []string {
	complaints := strangers(p, worlds)
	say := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	acts := map[spec.ID]bool{}
	desired := map[spec.ID]bool{}
	for _, s := range d.Specs {
		desired[s.ID] = true
	}
	for _, c := range p.Changes {
		if c.Action != plan.Blocked && c.Action != plan.None && !c.Kept {
			acts[c.ID] = true
		}
		if c.Action == plan.None {
			say("%s: nothing is no change", c.ID)
		}
	}
	for _, n := range p.Nodes {
		agent := plan.Agent{Scope: n.Instance.Scope, Name: n.Instance.Agent}
		switch {
		case n.Op == plan.OpPrepare:
		case !acts[n.Instance]:
			say("#%d %s: no change says so", n.ID, n)
		case !slices.Contains(d.Scopes, n.Instance.Scope):
			say("#%d %s: out of scope", n.ID, n)
		case slices.Contains(d.NotAllowed, agent):
			say("#%d %s: nobody allowed it", n.ID, n)
		case !desired[n.Instance] && n.Instance.Replica == "x7f3":
			say("#%d %s: ad-hoc", n.ID, n)
		case !desired[n.Instance] && (slices.Contains(d.Outside, agent) && !slices.Contains(d.Want, agent)):
			say("#%d %s: outside", n.ID, n)
		case !desired[n.Instance] && slices.Contains(d.Broken, n.Instance.Agent):
			say("#%d %s: its manifest is broken", n.ID, n)
		case !desired[n.Instance] && !d.Prune && !slices.Contains(d.Declared, agent):
			say("#%d %s: nobody asked to prune", n.ID, n)
		case len(d.Want) > 0 && !slices.Contains(d.Want, agent) && !slices.Contains(d.Want, plan.Agent{Name: agent.Name}):
			say("#%d %s: not wanted", n.ID, n)
		}
	}
	return complaints
}

// strangers: no operation has a resource that is not ours for its subject.
func strangers(p *plan.Plan, worlds []plan.World) (complaints []string) {
	foreign := map[[2]string]bool{}
	for _, w := range worlds {
		for _, f := range w.Foreign {
			foreign[[2]string{w.Backend, f.Name}] = true
		}
	}
	for _, n := range p.Nodes {
		id := n.Instance
		var names []string
		switch n.Op {
		case plan.OpPrepare, plan.OpEnsureImage:
		case plan.OpCreateSidecar:
			names = []string{id.Sidecar(), id.DoorVolume(), id.CAVolume()}
		case plan.OpStartSidecar, plan.OpConfigure, plan.OpRemoveSidecar:
			names = []string{id.Sidecar()}
		case plan.OpRemoveVolumes:
			names = []string{id.DoorVolume(), id.CAVolume()}
		default:
			names = []string{id.Name()}
		}
		for _, name := range names {
			if foreign[[2]string{n.Backend, name}] {
				complaints = append(complaints, fmt.Sprintf("#%d %s: %s is not ours", n.ID, n, name))
			}
		}
	}
	return complaints
}

// TestDeterministic: what a plan says does not depend on the order in which
// anything was listed.
func TestDeterministic(t *testing.T) {
	for seed := range uint64(seeds / 3) {
		d, worlds := plantest.Random(rand.New(rand.NewPCG(seed, 5)))
		p := plan.Diff(d, worlds)
		want, print := render(p), p.Fingerprint()
		destroy := plan.Destroy(worlds, inScopes(d, worlds))
		wantDestroy, printDestroy := render(destroy), destroy.Fingerprint()
		rng := rand.New(rand.NewPCG(seed, 6))
		for range 3 {
			shuffle(rng, d.Specs)
			shuffle(rng, d.Declared)
			shuffle(rng, d.Outside)
			shuffle(rng, worlds)
			for _, w := range worlds {
				shuffle(rng, w.Instances)
				shuffle(rng, w.Foreign)
				for _, i := range w.Instances {
					shuffle(rng, i.Leftovers)
				}
			}
			q := plan.Diff(d, worlds)
			if diff := cmp.Diff(want, render(q)); diff != "" {
				t.Fatalf("seed %d: %s", seed, diff)
			}
			if q.Fingerprint() != print {
				t.Fatalf("seed %d: another fingerprint of one plan:\n%s", seed, want)
			}
			q = plan.Destroy(worlds, inScopes(d, worlds))
			if diff := cmp.Diff(wantDestroy, render(q)); diff != "" || q.Fingerprint() != printDestroy {
				t.Fatalf("seed %d, destroy: %s", seed, diff)
			}
		}
	}
}

func shuffle[E any](rng *rand.Rand, list []E) {
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// inScopes are the instances that a destroy without names removes.
func inScopes(d plan.Desired, worlds []plan.World) []spec.ID {
	var ids []spec.ID
	for _, w := range worlds {
		for _, o := range w.Instances {
			if slices.Contains(d.Scopes, o.ID.Scope) {
				ids = append(ids, o.ID)
			}
		}
	}
	return ids
}
