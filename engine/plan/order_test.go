package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/spec"
)

// Two agents that share an image build it once, and what is shared is made once.
func TestSharedNodes(t *testing.T) {
	a, b := bottleSpec("a"), bottleSpec("b")
	p := Diff(desired(a, b), []World{world([]*spec.Spec{a, b})})
	got := map[Op]int{}
	for _, n := range p.Nodes {
		got[n.Op]++
	}
	want := map[Op]int{OpPrepare: 1, OpEnsureImage: 1, OpCreateSidecar: 2, OpConfigure: 2, OpCreateAgent: 2, OpStartAgent: 2}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// In a replacement the gate must not get the new policy while the old agent is
// still there to use it.
func TestReplaceWidensAfterTheOldAgentIsGone(t *testing.T) {
	old := bottleSpec("dev")
	wider := bottleSpec("dev", identity, token, func(s *spec.Spec) { s.Fixed.Env[0].Value = "2" })
	p := Diff(desired(wider), []World{world([]*spec.Spec{wider}, running(old))})
	removed := false
	for _, n := range p.Nodes {
		removed = removed || n.Op == OpRemoveAgent
		if n.Op == OpConfigure && !removed {
			t.Errorf("the old agent is still there:\n%s", p)
		}
	}
}

// No node may come before one that it depends on, and no agent may start
// before its gate enforces a policy.
func TestOrder(t *testing.T) {
	s := bottleSpec("dev", identity, token)
	p := Diff(desired(s), []World{world([]*spec.Spec{s})})
	behind := map[int]map[int]bool{}
	for _, n := range p.Nodes {
		behind[n.ID] = map[int]bool{}
		for _, d := range n.DependsOn {
			if d >= n.ID {
				t.Fatalf("node %d depends on %d", n.ID, d)
			}
			behind[n.ID][d] = true
			for k := range behind[d] {
				behind[n.ID][k] = true
			}
		}
		if n.Op == OpStartAgent {
			ok := false
			for k := range behind[n.ID] {
				ok = ok || p.Nodes[k-1].Op == OpConfigure
			}
			if !ok {
				t.Error("the agent starts before its gate is configured")
			}
		}
	}
}

func TestDestroy(t *testing.T) {
	dev, two := bottleSpec("dev"), bottleSpec("dev", func(s *spec.Spec) { s.ID.Replica = "2" })
	other := bottleSpec("other", func(s *spec.Spec) { s.ID.Scope = "bbbbbbbbbbbbbbbb" })
	w := []World{world(nil, running(dev), running(two), running(other))}
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, "remove dev requested\nremove dev_2 requested\n"},
		{[]string{"dev"}, "remove dev requested\nremove dev_2 requested\n"},
		{[]string{"dev_2"}, "remove dev_2 requested\n"},
		{[]string{"other"}, ""},
	} {
		if d := cmp.Diff(tt.want, summary(Destroy(w, []string{scope}, tt.names))); d != "" {
			t.Errorf("%v: %s", tt.names, d)
		}
	}
}
