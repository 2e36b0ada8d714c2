package smolvm

import (
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/bot-bottle/bb/hack/fakesmol"
)

// testBinary is a static bb, built once.
var testBinary string

// What the lines at the end say: what did not run has not passed.
var (
	notRun   = map[string]string{}
	notRunMu sync.Mutex
)

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
	// Lines that nobody misses: what was not checked is not passed.
	for _, name := range slices.Sorted(maps.Keys(notRun)) {
		fmt.Printf("NOT RUN: %s: %s\n", name, notRun[name])
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
