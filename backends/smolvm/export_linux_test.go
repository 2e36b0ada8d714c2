package smolvm

import (
	"testing"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/conformance"
	"github.com/bot-bottle/bb/engine/spec"
)

// StaticBB is a static bb, for tests outside this package.
func StaticBB() string { return testBinary }

// Over is a driver over other sidecars than those of newWorld, which end may
// kill, and the suite's fixture for it. Who alters such a sidecar is not seen.
func Over(t *testing.T, s Sidecars, end func(t *testing.T, id spec.ID)) (backends.Driver, conformance.Fixture) {
	t.Helper()
	w, one := newWorld(t), newSpec(t)
	w.opts.Sidecars = s
	return w.Driver, conformance.Fixture{
		Spec: one, Slot: "EGRESS_TOKEN_0", Secrets: newSecrets(w.Driver, one), Key: w.opts.Key, Owner: w.opts.Owner, Runs: true,
		Git: func(*testing.T) { one.Image = spec.Image{Name: "bbtest-smol-git", Recipe: gitRecipe} },
		Stop: func(t *testing.T, id spec.ID, role string) {
			if role == spec.RoleAgent {
				w.fake.Kill(id.Name())
				return
			}
			end(t, id)
		},
	}
}
