package conformance

import (
	"testing"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// alteredAgent: somebody's hand is seen, and replacing the agent undoes it. A
// plan removes it first: only a plan may end what somebody works in.
func alteredAgent(t *testing.T, s *suite) {
	if s.Alter == nil {
		return
	}
	before := s.alter(t, spec.RoleAgent)
	must(t, "remove agent", s.d.RemoveAgent(t.Context(), s.Spec.ID))
	s.up(t, "")
	after := s.healthy(t)
	if after.Agent.Ref == before.Agent.Ref {
		t.Error("the altered agent is still there")
	}
	if after.Sidecar.Ref != before.Sidecar.Ref {
		t.Error("the sidecar was touched")
	}
}

// alteredSidecar: creating it again is enough, and the agent is left alone.
func alteredSidecar(t *testing.T, s *suite) {
	if s.Alter == nil {
		return
	}
	before := s.alter(t, spec.RoleSidecar)
	s.up(t, "")
	after := s.healthy(t)
	if after.Sidecar.Ref == before.Sidecar.Ref {
		t.Error("the altered sidecar is still there")
	}
	if after.Agent.Ref != before.Agent.Ref {
		t.Error("the agent was touched")
	}
}

// alter brings a bottle up, alters one role, and returns what was observed.
func (s *suite) alter(t *testing.T, role string) plan.Instance {
	t.Helper()
	s.up(t, "")
	s.healthy(t)
	s.Alter(t, s.Spec.ID, role)
	o := s.instance(t)
	altered, other := o.Agent, o.Sidecar
	if role == spec.RoleSidecar {
		altered, other = other, altered
	}
	if len(altered.Altered) == 0 {
		t.Errorf("an altered %s is observed as %+v", role, altered)
	}
	if len(other.Altered) > 0 {
		t.Errorf("the other role is called altered: %v", other.Altered)
	}
	return o
}

func (s *suite) healthy(t *testing.T) plan.Instance {
	t.Helper()
	o := s.instance(t)
	for role, p := range map[string]*plan.Part{spec.RoleAgent: o.Agent, spec.RoleSidecar: o.Sidecar} {
		if p == nil || !p.Running || len(p.Altered) > 0 {
			t.Errorf("%s of a whole bottle is observed as %+v", role, p)
		}
	}
	return o
}
