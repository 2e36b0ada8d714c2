package diag

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

func TestCause(t *testing.T) {
	_, missing := os.ReadFile("/nowhere")
	other := errors.New("other")
	for _, c := range []struct{ err, want error }{
		{missing, syscall.ENOENT}, {fmt.Errorf("again: %w", missing), syscall.ENOENT}, {other, other},
	} {
		if got := Cause(c.err); got != c.want { //nolint:errorlint // this very one
			t.Errorf("Cause(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}
