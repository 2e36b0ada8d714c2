package gitgate

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if code, handled := Child(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
