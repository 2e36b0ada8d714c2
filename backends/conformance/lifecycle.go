package conformance

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

func emptyWorld(t *testing.T, s *suite) {
	must(t, "check", s.d.Check(t.Context()))
	w := s.observe(t)
	if len(w.Instances) != 0 || len(w.Foreign) != 0 {
		t.Errorf("observed %+v and %+v in an empty world", w.Instances, w.Foreign)
	}
	if w.Backend != s.d.Name() {
		t.Errorf("world is of %q, want %q", w.Backend, s.d.Name())
	}
}

func create(t *testing.T, s *suite) {
	s.up(t, "")
	w := s.observe(t)
	o := s.instance(t)
	if o.Agent == nil || !o.Agent.Running || o.Sidecar == nil || !o.Sidecar.Running {
		t.Fatalf("not both run: agent %+v, sidecar %+v", o.Agent, o.Sidecar)
	}
	image := w.Images[s.Spec.ID.Name()]
	if !image.Present {
		t.Errorf("image %q is not present", image.Ref)
	}
	type facts struct{ Spec, JSON, Image, SidecarImage, Network, Backend string }
	got := facts{o.Agent.Spec, o.Agent.SpecJSON, o.Agent.Image, o.Sidecar.Image, o.Sidecar.Network, o.Backend}
	want := facts{
		s.Spec.Hash(s.Key), s.Spec.FixedJSON(s.Key), image.Ref, w.SidecarImage, s.Spec.Gate.Network, s.d.Name(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("observed facts (-want +got):\n%s", diff)
	}
	if image.Ref == "" || w.SidecarImage == "" {
		t.Errorf("images are unknown after they were made: %q, %q", image.Ref, w.SidecarImage)
	}
	if o.State == nil || o.State.State != egress.StateConfigured {
		t.Fatalf("sidecar's state: %+v", o.State)
	}
	if diff := cmp.Diff(s.Spec.LiveHashes(), o.State.Live); diff != "" {
		t.Errorf("live parts (-want +got):\n%s", diff)
	}
	if got := o.State.Tokens[s.Slot]; got != s.Secrets.Digests[s.Slot] {
		t.Errorf("digest of %s is %q, want %q", s.Slot, got, s.Secrets.Digests[s.Slot])
	}
	if w.SharedNetwork == "" {
		t.Error("the shared network is absent after prepare")
	}
}

func idempotence(t *testing.T, s *suite) {
	s.up(t, "")
	before := s.instance(t)
	for _, step := range s.steps(t) {
		must(t, step.name+" again", step.do())
	}
	after := s.instance(t)
	if before.Agent.Ref != after.Agent.Ref || before.Sidecar.Ref != after.Sidecar.Ref {
		t.Errorf("a repeated step made another container: %+v, %+v", before, after)
	}
	// The state line's order of maps and the status' minutes may differ.
	before.Agent.Status, after.Agent.Status = "", ""
	before.Sidecar.Status, after.Sidecar.Status = "", ""
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a repeated step changed the world (-before +after):\n%s", diff)
	}
}

func halfMade(t *testing.T, s *suite) {
	s.up(t, "create sidecar")
	o := s.instance(t)
	if o.Agent != nil || o.Sidecar == nil || !o.Sidecar.Running {
		t.Fatalf("after the sidecar: agent %+v, sidecar %+v", o.Agent, o.Sidecar)
	}
	if o.State == nil || o.State.State != egress.StateUnconfigured || len(o.State.Live) != 0 {
		t.Errorf("a fresh sidecar's state: %+v", o.State)
	}
	must(t, "configure", s.d.Configure(t.Context(), s.Spec, s.Secrets, []string{spec.PartEgress}))
	must(t, "create agent", s.d.CreateAgent(t.Context(), s.Spec))
	if o = s.instance(t); o.Agent == nil || o.Agent.Running {
		t.Errorf("a created agent is observed as %+v", o.Agent)
	}
	s.up(t, "")
	if o = s.instance(t); !o.Agent.Running {
		t.Errorf("the finished agent is observed as %+v", o.Agent)
	}
}

func gateFirst(t *testing.T, s *suite) {
	s.up(t, "create sidecar")
	must(t, "create agent", s.d.CreateAgent(t.Context(), s.Spec))
	mustFail(t, "starting an agent behind an unconfigured sidecar", s.d.StartAgent(t.Context(), s.Spec))
	if o := s.instance(t); o.Agent.Running {
		t.Error("the agent runs behind an unconfigured sidecar")
	}
}

func keepToken(t *testing.T, s *suite) {
	s.up(t, "configure")
	kept := spec.Secrets{Digests: s.Secrets.Digests}
	must(t, "keep the token", s.d.Configure(t.Context(), s.Spec, kept, []string{spec.PartEgress}))
	other := spec.Secrets{Digests: map[string]string{s.Slot: "00000000000000000000000000000000"}}
	mustFail(t, "keeping a token that the sidecar does not hold",
		s.d.Configure(t.Context(), s.Spec, other, []string{spec.PartEgress}))
	o := s.instance(t)
	if o.State == nil || o.State.State != egress.StateConfigured || o.State.Tokens[s.Slot] != s.Secrets.Digests[s.Slot] {
		t.Errorf("a refused document changed the state: %+v", o.State)
	}
}

func sidecarRestart(t *testing.T, s *suite) {
	if s.Stop == nil {
		return
	}
	s.up(t, "")
	before := s.instance(t)
	s.Stop(t, s.Spec.ID, spec.RoleSidecar)
	if o := s.instance(t); o.Sidecar == nil || o.Sidecar.Running || o.State != nil {
		t.Errorf("a stopped sidecar is observed as %+v, %+v", o.Sidecar, o.State)
	}
	must(t, "start sidecar", s.d.StartSidecar(t.Context(), s.Spec))
	o := s.instance(t)
	if !o.Sidecar.Running || o.State == nil || o.State.State != egress.StateUnconfigured {
		t.Errorf("a restarted sidecar is observed as %+v, %+v", o.Sidecar, o.State)
	}
	mustFail(t, "keeping a token that a restart lost", s.d.Configure(t.Context(), s.Spec,
		spec.Secrets{Digests: s.Secrets.Digests}, all))
	must(t, "configure", s.d.Configure(t.Context(), s.Spec, s.Secrets, all))
	if o = s.instance(t); o.Agent.Ref != before.Agent.Ref || !o.Agent.Running {
		t.Error("the agent did not outlive its sidecar's restart")
	}
}

func removal(t *testing.T, s *suite) {
	s.up(t, "")
	ctx, id := t.Context(), s.Spec.ID
	for range 2 {
		must(t, "remove agent", s.d.RemoveAgent(ctx, id))
		if o := s.instance(t); o.Agent != nil || o.Sidecar == nil {
			t.Errorf("after the agent is removed: %+v", o)
		}
	}
	for range 2 {
		must(t, "remove sidecar", s.d.RemoveSidecar(ctx, id))
		if o := s.instance(t); o.Sidecar != nil || len(o.Leftovers) == 0 {
			t.Errorf("after the sidecar is removed: %+v", o)
		}
	}
	for range 2 {
		must(t, "remove volumes", s.d.RemoveVolumes(ctx, id))
		if w := s.observe(t); len(w.Instances) != 0 {
			t.Errorf("after everything is removed: %+v", w.Instances)
		}
	}
	must(t, "remove agent of nothing", s.d.RemoveAgent(ctx, id))
}

func replaceSidecar(t *testing.T, s *suite) {
	s.up(t, "")
	before := s.instance(t)
	var ca []byte
	if s.Runs {
		ca = s.control(t, "ca")
	}
	must(t, "remove sidecar", s.d.RemoveSidecar(t.Context(), s.Spec.ID))
	must(t, "create sidecar", s.d.CreateSidecar(t.Context(), s.Spec))
	must(t, "configure", s.d.Configure(t.Context(), s.Spec, s.Secrets, all))
	after := s.instance(t)
	if after.Agent.Ref != before.Agent.Ref || !after.Agent.Running {
		t.Error("the agent was touched")
	}
	if s.Runs {
		if diff := cmp.Diff(string(ca), string(s.control(t, "ca"))); diff != "" {
			t.Errorf("the authority changed:\n%s", diff)
		}
	}
}

func (s *suite) control(t *testing.T, command string) []byte {
	t.Helper()
	reply, err := s.d.Control(t.Context(), s.Spec.ID, command)
	must(t, "control "+command, err)
	return reply
}

func foreignResources(t *testing.T, s *suite) {
	if s.MakeForeign == nil {
		return
	}
	ctx, id := t.Context(), s.Spec.ID
	s.up(t, "ensure image")
	s.MakeForeign(t, "container", id.Name())
	s.MakeForeign(t, "container", id.Sidecar())
	s.MakeForeign(t, "volume", id.CAVolume())
	w := s.observe(t)
	want := []plan.Foreign{
		{Kind: "container", Name: id.Name()},
		{Kind: "container", Name: id.Sidecar()},
		{Kind: "volume", Name: id.CAVolume()},
	}
	if diff := cmp.Diff(want, w.Foreign); diff != "" {
		t.Errorf("foreign resources (-want +got):\n%s", diff)
	}
	if len(w.Instances) != 0 {
		t.Errorf("foreign resources are observed as ours: %+v", w.Instances)
	}
	for what, err := range map[string]error{
		"create sidecar": s.d.CreateSidecar(ctx, s.Spec),
		"configure":      s.d.Configure(ctx, s.Spec, s.Secrets, all),
		"create agent":   s.d.CreateAgent(ctx, s.Spec),
		"start agent":    s.d.StartAgent(ctx, s.Spec),
		"provision":      s.d.Provision(ctx, s.Spec, s.Secrets, all),
		"remove agent":   s.d.RemoveAgent(ctx, id),
		"remove sidecar": s.d.RemoveSidecar(ctx, id),
		"remove volumes": s.d.RemoveVolumes(ctx, id),
	} {
		mustFail(t, what+" where the name is another's", err)
	}
	for _, f := range want {
		if !s.Exists(t, f.Kind, f.Name) {
			t.Errorf("foreign %s %s did not survive", f.Kind, f.Name)
		}
	}
}
