package conformance

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// stopped stops a bottle twice, looks that nothing of it runs and nothing is
// lost, and brings it up again.
func stopped(t *testing.T, s *suite) {
	ctx, id := t.Context(), s.Spec.ID
	must(t, "stop what is not there", s.d.Stop(ctx, id))
	s.up(t, "")
	if s.Runs {
		s.sh(t, "echo remembered > ~/kept")
	}
	before := s.instance(t)
	for range 2 {
		must(t, "stop", s.d.Stop(ctx, id))
		o := s.instance(t)
		if !o.Halted() || o.State != nil {
			t.Fatalf("after a stop: agent %+v, sidecar %+v, state %+v", o.Agent, o.Sidecar, o.State)
		}
		if n, err := s.d.Sessions(ctx, id); err != nil || n != 0 {
			t.Errorf("sessions of a stopped bottle: %d, %v", n, err)
		}
		if a, ok := s.d.(backends.Archiver); ok && s.Runs {
			var out bytes.Buffer
			if err := a.Archive(ctx, id, spec.Home+"/kept", &out); err != nil || !strings.Contains(out.String(), "remembered\n") {
				t.Errorf("a stopped bottle's file reads %q, %v", out.String(), err)
			}
		}
	}
	must(t, "start sidecar", s.d.StartSidecar(ctx, s.Spec))
	must(t, "configure", s.d.Configure(ctx, s.Spec, s.Secrets, []string{spec.PartEgress}))
	must(t, "start agent", s.d.StartAgent(ctx, s.Spec))
	must(t, "provision", s.d.Provision(ctx, s.Spec, s.Secrets, all[1:]))
	must(t, "claim", s.d.Configure(ctx, s.Spec, s.Secrets, all))
	after := s.instance(t)
	if !after.Up() || after.Agent.Ref != before.Agent.Ref {
		t.Errorf("it came back as another: %+v, %+v", before.Agent, after.Agent)
	}
	if s.Runs {
		if said := s.sh(t, "cat ~/kept"); strings.TrimSpace(said) != "remembered" {
			t.Errorf("its file says %q", said)
		}
	}
}

// sh runs a line in the bottle, and returns what it says.
func (s *suite) sh(t *testing.T, line string) string {
	t.Helper()
	var out bytes.Buffer
	code, err := s.d.Exec(t.Context(), s.Spec.ID, backends.ExecRequest{Argv: []string{"sh", "-c", line}, Stdout: &out, Stderr: &out})
	if err != nil || code != 0 {
		t.Fatalf("%s: %d, %v, %s", line, code, err, out.String())
	}
	return out.String()
}
