package cli

import (
	"os"
	"testing"
)

// TestMain is bb itself where bb starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "relay" || os.Args[1] == "sidecar") {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
