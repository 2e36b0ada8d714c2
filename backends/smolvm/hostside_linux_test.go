package smolvm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/conformance"
	"github.com/bot-bottle/bb/backends/smolvm"
	"github.com/bot-bottle/bb/backends/smolvm/hostside"
	"github.com/bot-bottle/bb/engine/spec"
)

// The suite over the sidecars that ship, confined as they are.
func TestConformanceOverTheHostsSidecars(t *testing.T) {
	if lacks := hostside.Unconfined(); lacks != "" {
		t.Skip(lacks + ": NOT RUN")
	}
	conformance.Run(t, func(t *testing.T) (backends.Driver, conformance.Fixture) {
		dir, err := os.MkdirTemp("", "bb-hs-") //nolint:usetesting // the path of a socket must be short
		if err != nil {
			t.Fatal(err)
		}
		s, err := hostside.New(hostside.Options{Dir: filepath.Join(dir, "s"), Self: smolvm.StaticBB(), Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			all, err := s.List(context.Background())
			for _, x := range all {
				if removeErr := s.RemoveState(context.Background(), x.ID); removeErr != nil {
					err = removeErr
				}
			}
			if err != nil {
				t.Error(err)
			}
			_ = os.RemoveAll(dir)
		})
		return smolvm.Over(t, s, func(t *testing.T, id spec.ID) { killed(t, s, id) })
	})
}

// killed ends a sidecar behind bb's back.
func killed(t *testing.T, s *hostside.Sidecars, id spec.ID) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); time.Now().Before(late); time.Sleep(time.Millisecond) {
		all, err := s.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range all {
			if x.ID != id {
				continue
			}
			pid := 0
			if x.Part == nil || !x.Part.Running {
				return
			}
			if _, err := fmt.Sscanf(x.Part.Status, "process %d", &pid); err != nil || pid < 2 {
				t.Fatalf("%q, %v", x.Part.Status, err)
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	t.Fatal("the sidecar does not end")
}
