//go:build !race

package dlp

import "testing"

// TestTextDoesNotAllocate asserts that heads without a find cost no memory. The
// race detector makes pools forget, so that it cannot be asserted with it.
func TestTextDoesNotAllocate(t *testing.T) {
	s := New(benchValues())
	if n := testing.AllocsPerRun(100, func() { s.Text(head, false) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
