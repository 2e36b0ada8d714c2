package smolvm

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bot-bottle/bb/hack/fakesmol"
)

// testBinary is a static bb, built once.
var testBinary string

func TestMain(m *testing.M) {
	fakesmol.Main()
	dir, err := os.MkdirTemp("", "bb-smolvm-test-")
	if err != nil {
		panic(err)
	}
	testBinary = filepath.Join(dir, "bb")
	// A binary of this run alone: what is named after it can be removed.
	cmd := exec.Command("go", "build", "-trimpath", "-o", testBinary, "-ldflags=-s -w -X main.run="+rand.Text(), "../../cmd/bb")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build bb: %v\n%s", err, text)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
