package door

import (
	"os"
	"testing"
)

// roles are what the test binary does when it is started again.
var roles = map[string]func() int{"exec": playExec}

func TestMain(m *testing.M) {
	if role := os.Getenv("DOOR_TEST_ROLE"); role != "" {
		os.Exit(roles[role]())
	}
	os.Exit(m.Run())
}
