package hostside

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Programs of this run, static as those that ship: a detector of races could not
// live within the limits of a sidecar.
var (
	bb     string
	played string // this test, for roles
)

// roles are what this test plays as a sidecar.
var roles = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	if args := os.Args[1:]; len(args) > 1 && args[0] == "sidecar" {
		if err := roles[args[1]](args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "bb-hostside-test-")
	if err != nil {
		panic(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // others pass through
		panic(err)
	}
	bb, played = filepath.Join(dir, "bb"), filepath.Join(dir, "played")
	for _, args := range [][]string{
		{"build", "-trimpath", "-o", bb, "-ldflags=-s -w -X main.run=" + rand.Text(), "../../../cmd/bb"},
		{"test", "-c", "-trimpath", "-o", played, "."},
	} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go %v: %v\n%s", args, err, text)
			os.Exit(1)
		}
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
