package cli_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/bot-bottle/bb/hack/fakesmol"
)

func TestMain(m *testing.M) {
	fakesmol.Main()
	code := m.Run()
	// One line that nobody misses: what was not checked is not passed.
	if realNotRun != "" {
		fmt.Println("NOT RUN: the contract with the real smolvm:", realNotRun)
	}
	os.Exit(code)
}
