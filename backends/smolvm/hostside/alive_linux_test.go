package hostside

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// A sidecar that was taken over does not outlive its bottle by letting go of
// the lock that bb knows it by, nor by ignoring that it should end.
func TestItEnds(t *testing.T) {
	if lacks := Unconfined(); lacks != "" {
		t.Skip(lacks + ": NOT RUN")
	}
	for _, how := range []string{"no lock", "no pid file", "a child has the lock"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h := home(shortDir(t))
			if err := os.MkdirAll(h.own(), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := write(h.own("attempts"), attempts{Hide: how}); err != nil {
				t.Fatal(err)
			}
			it := launch(t, played, h, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}})
			ended := make(chan struct{})
			go func() { _ = it.Wait(); close(ended) }()
			t.Cleanup(func() { _ = it.Process.Kill(); <-ended })
			for late := time.Now().Add(firstWord); ; time.Sleep(time.Millisecond) {
				if _, err := os.Stat(h.own("did")); err == nil {
					break
				}
				if time.Now().After(late) {
					t.Fatal("it does not begin")
				}
			}
			pid, err := holder(h)
			if err != nil || pid == it.Process.Pid {
				t.Fatalf("it has the lock: %v", err)
			}
			if p, err := serving(h); err != nil || p.PID != 0 {
				t.Errorf("it is taken for a sidecar: %+v, %v", p, err)
			}
			if err := end(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Error("it lives")
			}
			if pid != 0 && born(pid) != "" {
				t.Errorf("its child %d lives", pid)
			}
		})
	}
}
