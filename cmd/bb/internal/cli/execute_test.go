package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// What several bottles share is built through the proxy of any that has one.
func TestBuilder(t *testing.T) {
	bottle := func(agent, backend, image, parent string) *spec.Spec {
		s := &spec.Spec{ID: spec.ID{Agent: agent}, Backend: backend, Image: spec.Image{Name: image}}
		if parent != "" {
			s.Live.Parent = &egress.Parent{URL: parent, Slot: "EGRESS_TOKEN_0"}
		}
		return s
	}
	plain, behind := bottle("plain", "docker", "shared", ""), bottle("behind", "docker", "shared", "http://p:1")
	other, far := bottle("other", "docker", "own", ""), bottle("far", "smolvm", "shared", "http://q:1")
	all := []*spec.Spec{plain, far, behind, other}
	for _, tt := range []struct {
		name  string
		node  plan.Node
		specs []*spec.Spec
		url   string // "" is none
		of    string
	}{
		{"prepare", plan.Node{Op: plan.OpPrepare, Backend: "docker"}, all, "http://p:1", "behind"},
		{"prepare elsewhere", plan.Node{Op: plan.OpPrepare, Backend: "smolvm"}, all, "http://q:1", "far"},
		{"prepare for none", plan.Node{Op: plan.OpPrepare, Backend: "docker"}, []*spec.Spec{plain, far}, "", ""},
		{"own", plan.Node{Op: plan.OpEnsureImage, Backend: "docker", Instance: behind.ID, Spec: behind}, all, "http://p:1", "behind"},
		{"shared", plan.Node{Op: plan.OpEnsureImage, Backend: "docker", Instance: plain.ID, Spec: plain}, all, "http://p:1", "behind"},
		{"another image", plan.Node{Op: plan.OpEnsureImage, Backend: "docker", Instance: other.ID, Spec: other}, all, "", "other"},
		{"no build", plan.Node{Op: plan.OpCreateAgent, Backend: "docker", Instance: plain.ID, Spec: plain}, all, "", "plain"},
	} {
		p := &planning{plan: &plan.Plan{}}
		for _, s := range tt.specs {
			p.plan.Changes = append(p.plan.Changes, plan.Change{ID: s.ID, Backend: s.Backend, Spec: s})
		}
		n, of := p.builder(tt.node)
		via := backends.BuildProxyOf(n.Spec, spec.Secrets{Tokens: map[string]string{"EGRESS_TOKEN_0": "user:password"}})
		if of.Agent != tt.of || (via == nil) != (tt.url == "") || via != nil && (via.URL != tt.url || via.Credentials != "user:password") {
			t.Errorf("%s: %v of %q", tt.name, via, of.Agent)
		}
		if via != nil && strings.Contains(fmt.Sprintf("%v %+v %#v %s", via, via, via, via), "password") {
			t.Errorf("%s: printing tells the login", tt.name)
		}
	}
}
