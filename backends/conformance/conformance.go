// Package conformance is the suite that every driver passes. It holds drivers
// to the contract of backends.Driver and to nothing else, so that the engine
// can be tested on the fake and trusted on the real ones.
package conformance

import (
	"testing"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Fixture is what a driver's test lends to the suite. Everything that the
// fixture makes is removed by its own cleanup.
type Fixture struct {
	// Spec is an instance that nothing else uses, with a route, a token in
	// slot Slot, and an image that EnsureImage can provide.
	Spec *spec.Spec
	Slot string
	// Secrets hold the token's value and digest.
	Secrets spec.Secrets
	Key     spec.Key
	Owner   string

	// MakeForeign makes a resource that is not ours (kinds container and
	// volume); nil where the driver knows no such thing.
	MakeForeign func(t *testing.T, kind, name string)
	// Exists reports whether a resource of that kind and name is there.
	Exists func(t *testing.T, kind, name string) bool
	// Stop stops a role behind the driver's back; nil where it cannot.
	Stop func(t *testing.T, id spec.ID, role string)
	// Alter does to a role that runs what a driver sees in its list and calls
	// altered; nil where it cannot be done.
	Alter func(t *testing.T, id spec.ID, role string)
	// Runs says that commands really run in a bottle.
	Runs bool
	// Git makes Spec one whose bottle has git, where commands run; GitConfig
	// answers the values of a key of git's global configuration where none do.
	Git       func(t *testing.T)
	GitConfig func(t *testing.T, id spec.ID, key string) []string
}

// Maker returns a driver with an empty world and a fixture for it.
type Maker func(t *testing.T) (backends.Driver, Fixture)

// Run runs the whole suite.
func Run(t *testing.T, maker Maker) {
	tests := []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"nothing is observed in an empty world", emptyWorld},
		{"create brings up what the spec says", create},
		{"every step may be done again", idempotence},
		{"a half-made bottle is seen and finished", halfMade},
		{"no agent starts before its gate enforces", gateFirst},
		{"a token is kept or refused", keepToken},
		{"a stopped sidecar comes back unconfigured", sidecarRestart},
		{"what is stopped is kept", stopped},
		{"removal is in parts and may be repeated", removal},
		{"the sidecar is replaced alone", replaceSidecar},
		{"foreign resources are reported and survive", foreignResources},
		{"an altered agent is reported and repaired", alteredAgent},
		{"an altered sidecar is reported and repaired", alteredSidecar},
		{"sessions are counted while they run", sessions},
		{"the access log is streamed", accessLog},
		{"git is told of identity and remotes", gitSettings},
		{"commands run in the bottle", commands},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, f := maker(t)
			tt.run(t, &suite{Fixture: f, d: d})
		})
	}
}

type suite struct {
	Fixture
	d backends.Driver
}

// all are the live parts that a whole document claims.
var all = []string{spec.PartEgress, spec.PartGit, spec.PartIdentity, spec.PartPrompt, spec.PartSkills, spec.PartEnv}

type step struct {
	name string
	do   func() error
}

// steps bring the bottle up, one driver call each, in the order of a plan.
func (s *suite) steps(t *testing.T) []step {
	ctx := t.Context()
	return []step{
		{"prepare", func() error { return s.d.Prepare(ctx, nil) }},
		{"ensure image", func() error { return s.d.EnsureImage(ctx, s.Spec, nil) }},
		{"create sidecar", func() error { return s.d.CreateSidecar(ctx, s.Spec) }},
		{"configure", func() error {
			return s.d.Configure(ctx, s.Spec, s.Secrets, []string{spec.PartEgress})
		}},
		{"create agent", func() error { return s.d.CreateAgent(ctx, s.Spec) }},
		{"start agent", func() error { return s.d.StartAgent(ctx, s.Spec) }},
		{"provision", func() error { return s.d.Provision(ctx, s.Spec, s.Secrets, all[1:]) }},
		{"claim", func() error { return s.d.Configure(ctx, s.Spec, s.Secrets, all) }},
	}
}

func (s *suite) up(t *testing.T, upTo string) {
	t.Helper()
	for _, step := range s.steps(t) {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.name == upTo {
			return
		}
	}
}

func (s *suite) observe(t *testing.T) plan.World {
	t.Helper()
	w, err := s.d.Observe(t.Context(), plan.Query{Owner: s.Owner, Specs: []*spec.Spec{s.Spec}})
	if err != nil {
		t.Fatalf("observe: %v", err)
	}
	return w
}

// instance is the observed one of the fixture's spec; it must be there.
func (s *suite) instance(t *testing.T) plan.Instance {
	t.Helper()
	for _, i := range s.observe(t).Instances {
		if i.ID == s.Spec.ID {
			return i
		}
	}
	t.Fatalf("%s is not observed", s.Spec.ID)
	return plan.Instance{}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func mustFail(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s succeeded", what)
	}
}
