package hostside

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
			h, it, ended := taken(t, attempts{Hide: how})
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

// taken is a sidecar that was taken over, once it did what it was told.
func taken(t *testing.T, a attempts) (home, *started, <-chan struct{}) {
	t.Helper()
	h := home(shortDir(t))
	if err := os.MkdirAll(h.own(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := write(h.own("attempts"), a); err != nil {
		t.Fatal(err)
	}
	it := launch(t, played, h, me())
	ended := make(chan struct{})
	go func() { _ = it.Wait(); close(ended) }()
	t.Cleanup(func() { _ = it.Process.Kill(); <-ended })
	for late := time.Now().Add(firstWord); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(h.own("did")); err == nil {
			return h, it, ended
		}
		select {
		case <-ended:
			t.Fatal("it ended")
		default:
		}
		if time.Now().After(late) {
			t.Fatal("it does not begin")
		}
	}
}

// me is this user.
func me() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}}
}

// A child that takes more memory than it may have dies and leaves its sidecar
// alone; and where memory is short, children are the first to end.
func TestMemory(t *testing.T) {
	if lacks := Unconfined(); lacks != "" {
		t.Skip(lacks + ": NOT RUN")
	}
	_, it, ended := taken(t, attempts{Grow: true})
	score := func(pid int) string {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
		return strings.TrimSpace(string(b))
	}
	var child int
	for late := time.Now().Add(firstWord); child == 0; time.Sleep(time.Millisecond) {
		select {
		case <-ended:
			t.Fatal("the sidecar ended")
		default:
		}
		if time.Now().After(late) {
			t.Fatal("there is no child")
		}
		child = childOf(it.Process.Pid)
	}
	if got := score(child); got != "1000" {
		t.Errorf("the score of a child is %q", got)
	}
	if got, want := score(it.Process.Pid), score(os.Getpid()); got != want || got == "" {
		t.Errorf("that of the sidecar is %q, not %q", got, want)
	}
	for _, pid := range []int{it.Process.Pid, child} {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max data size 1073741824 1073741824 bytes") {
			t.Errorf("%v, %s", err, limits)
		}
	}
}

// childOf is one of the processes that a process started, 0 when there is none.
func childOf(pid int) (child int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		b, _ := os.ReadFile(file)
		if n, _ := fmt.Sscan(string(b), &child); n == 1 {
			return child
		}
	}
	return 0
}
