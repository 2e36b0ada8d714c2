package cli_test

import (
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

// A first start may take what an image takes, a later one not; each ends at its
// own limit.
func TestStartLimits(t *testing.T) {
	g := boot(t, nil)
	if first, later := g.StartLimits.First, g.StartLimits.Later; first < 15*time.Minute || later < time.Minute || later > first/2 {
		t.Errorf("the limits are %v and %v", first, later)
	}
	const long, short = time.Minute, time.Second // a slow start takes two
	for _, tt := range []struct {
		what   string
		first  bool
		limits cli.StartLimits
		fits   bool
	}{
		{"a slow first start", true, cli.StartLimits{First: long, Later: short}, true},
		{"a slow later start", false, cli.StartLimits{First: long, Later: short}, false},
		{"a first start past its limit", true, cli.StartLimits{First: short, Later: long}, false},
	} {
		if err := g.held.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.StartLimits = tt.limits
		g.fake.Fault("start", fakesmol.FaultSlow, 1)
		err := g.held.Start(t.Context(), tt.first)
		if tt.fits && err != nil || !tt.fits && !cli.IsKind(err, cli.Timeout) {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
}
