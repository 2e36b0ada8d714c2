//go:build !race

package fakesmol

import "os"

// executable plays the fake: the test binary itself.
func executable() (string, error) { return os.Executable() }
