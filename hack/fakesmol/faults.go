package fakesmol

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What a test can ask for, of the next run of a command.
const (
	FaultKilled      = "137"         // ends with 137 before it does anything
	FaultKilledAfter = "137-after"   // ends with 137 after it did everything
	FaultExit1       = "exit1"       // ends with 1 and says nothing
	FaultTruncate    = "truncate"    // ends with 0 in the middle of its output
	FaultSlow        = "slow"        // a start takes two seconds longer, an ls hangs that long
	FaultUnreachable = "unreachable" // the machine that starts does not answer from then on
	FaultNoOverlay   = "no-overlay"  // the machine that starts finds no overlay file system, as in some containers
	FaultExact       = "exact"       // the machine that starts leaves no room for what others of this machine begin: see ownKernel
)

// take uses a fault up.
func (s *state) take(verb, kind string) bool {
	dir := s.path("faults")
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), verb+"."+kind+".") && os.Remove(filepath.Join(dir, e.Name())) == nil {
			return true
		}
	}
	return false
}

func (s *state) faultBefore(verb string) error {
	if s.take(verb, FaultKilled) {
		return exitCode(137)
	}
	if s.take(verb, FaultExit1) {
		return exitCode(1)
	}
	if verb != "start" && s.take(verb, FaultSlow) {
		time.Sleep(2 * time.Second)
	}
	return nil
}

func (s *state) faultAfter(verb string) error {
	if s.take(verb, FaultKilledAfter) {
		return exitCode(137)
	}
	return nil
}

// Fault asks for a fault of the next runs of `smolvm machine VERB`.
func (f *Fake) Fault(verb, kind string, times int) {
	f.t.Helper()
	dir := f.state.path("faults")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.t.Fatal(err)
	}
	for range times {
		f.faults++
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s.%s.%d", verb, kind, f.faults)), nil, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
}
