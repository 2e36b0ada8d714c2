package hostside

import (
	"strings"
	"syscall"
	"testing"
)

// What a sidecar says as it crashes is in its log, the bounds of which hold, and
// its state is read as before.
func TestCrash(t *testing.T) {
	s, one := newSidecars(t)
	if err := s.Ensure(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	h := s.home(one.ID)
	p, err := serving(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.PID, syscall.SIGQUIT); err != nil { // as a panic, goroutines and all
		t.Fatal(err)
	}
	until(t, "its end", func() bool { return born(p.PID) == "" })
	if said := logged(t, s, one); !strings.Contains(said, "SIGQUIT: quit") || !strings.Contains(said, "goroutine ") {
		t.Errorf("it says %s", said)
	}
	if line := lastLine(h); line == nil || line.State != "unconfigured" {
		t.Errorf("%+v", line)
	}
	if x := only(t, s); x.Part.Running || x.State != nil {
		t.Errorf("%+v, %+v", x.Part, x.State)
	}
	if err := s.Start(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	if x := only(t, s); !x.Part.Running || x.State == nil {
		t.Errorf("%+v, %+v", x.Part, x.State)
	}
	if said := logged(t, s, one); !strings.Contains(said, "SIGQUIT: quit") { // also now
		t.Errorf("it says %s", said)
	}
}
