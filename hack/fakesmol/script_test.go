package fakesmol_test

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bot-bottle/bb/hack/fakesmol"
)

// In scripts too the fake comes first: its machines are this binary, under
// names that testscript does not know.
func TestMain(m *testing.M) {
	fakesmol.Main()
	testscript.Main(m, map[string]func(){"smolvm": fakesmol.Main}) // makes it a command
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SMOLVM_DATA_DIR", e.WorkDir+"/data")
			e.Setenv("ROOT", fakesmol.Root(t, "debian:bookworm-slim"))
			e.Defer(func() { fakesmol.KillAll(e.WorkDir + "/data") })
			return nil
		},
	})
}
