//go:build race

package fakesmol

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// executable plays the fake: the same code without the detector, which takes
// longer to start than most of what a smolvm does, and a test calls it hundreds of
// times. It is built once for each test binary, which leaves it to the system.
var executable = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fakesmol-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fakesmol")
	build := exec.Command("go", "build", "-o", path, "github.com/bot-bottle/bb/hack/fakesmol/alone")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build of the fake smolvm: %w\n%s", err, out)
	}
	return path, nil
})
