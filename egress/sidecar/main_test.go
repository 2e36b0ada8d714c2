package sidecar

import (
	"os"
	"testing"
)

// roles are what the test binary does when it is started again.
var roles = map[string]func() int{}

func TestMain(m *testing.M) {
	if role := os.Getenv("SIDECAR_TEST_ROLE"); role != "" {
		os.Exit(roles[role]())
	}
	os.Exit(m.Run())
}
