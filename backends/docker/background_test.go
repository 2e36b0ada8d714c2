package docker

import (
	"context"
	"testing"
)

// backgroundOf is a context for cleanups: the test's own has ended by then.
func backgroundOf(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }
