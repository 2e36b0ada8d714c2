package smolvm

import (
	"os"
	"testing"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// TestRealSmolvm does with the real program what needs no boot: a machine of
// an exported image is created with all that the driver tells it, observed,
// kept, and removed.
func TestRealSmolvm(t *testing.T) {
	path := os.Getenv("BB_SMOLVM")
	if path == "" {
		t.Skip("NOT RUN: no BB_SMOLVM (hack/smolvm installs one)")
	}
	w, s := newWorld(t), newSpec(t)
	data := t.TempDir()
	w.opts.Getenv = func(name string) string {
		switch name {
		case "BB_SMOLVM":
			return path
		case "SMOLVM_DATA_DIR":
			return data
		}
		return os.Getenv(name)
	}
	w.upTo(t, s)
	if err := w.CreateAgent(t.Context(), s); err != nil {
		t.Errorf("again: %v", err)
	}
	world, err := w.Observe(t.Context(), plan.Query{Owner: w.opts.Owner, Specs: []*spec.Spec{s}})
	if err != nil || len(world.Instances) != 1 || world.Instances[0].Agent == nil {
		t.Fatalf("%+v, %v", world, err)
	}
	a := world.Instances[0].Agent
	if a.Running || a.Status != "created" || len(a.Altered) > 0 || a.Spec != s.Hash(w.opts.Key) || a.Image != world.Images[s.ID.Name()].Ref || a.Ref == "" {
		t.Errorf("%+v", a)
	}
	for range 2 {
		if err := w.RemoveAgent(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := w.find(t.Context(), s.ID); m != nil || err != nil {
		t.Errorf("%+v, %v", m, err)
	}
}
