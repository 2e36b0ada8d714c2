package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// nowhere: no value in a process's arguments or environment, nor in a file
// of the home or of smolvm.
func nowhere(t *testing.T, h *home, values ...string) {
	t.Helper()
	for _, dir := range append(h.machineData(), filepath.Join(h.dir, "state")) {
		for _, value := range values {
			absentBelow(t, dir, value)
		}
	}
	w := &processWatch{t: t, h: h, values: values, found: map[string]bool{}, seen: map[string]bool{}}
	w.look()
	for what := range w.found {
		t.Errorf("%s holds a secret", what)
	}
}

// processWatch looks again and again at what `ps eww` shows of every process of
// this machine: secrets must be in the arguments of none, and in the environment
// of nobody but the bb that the test itself started with them.
type processWatch struct {
	t      *testing.T
	h      *home
	values []string
	found  map[string]bool
	seen   map[string]bool // what kinds of processes there were
	known  map[string]bool // processes that were looked at before
	once   sync.Once
	stop   chan struct{}
	done   chan struct{}
}

// watched are kinds of processes of which one at least must have been looked at.
var watched = map[string]string{
	"smolvm starts": "machine\x00start\x00", "smolvm execs": "machine\x00exec\x00", "a control call": "sidecar\x00ctl\x00", "a sidecar": "sidecar\x00host\x00",
	"a push in a bottle": "push\x00", "the gate's git": "GIT_CONFIG_NOSYSTEM=1", "the engine's exec": "door\x00session\x00",
}

func watchProcesses(t *testing.T, h *home, values ...string) *processWatch {
	t.Helper()
	w := &processWatch{t: t, h: h, values: values, found: map[string]bool{}, seen: map[string]bool{}, stop: make(chan struct{}), done: make(chan struct{})}
	// It would notice one, in the arguments and in the environment of another's child.
	for _, c := range [][]string{{"sh", "-c", "sleep 60; :", values[0]}, {"sh", "-c", "X=" + values[0][:4] + "$0 sleep 60; :", values[0][4:]}} {
		cmd := exec.Command(c[0], c[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a secret that is shown is noticed", func() bool { w.look(); return len(w.found) > 0 })
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		_, _ = command("kill", strings.Fields(string(children))...) // its sleep
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		clear(w.found)
	}
	t.Cleanup(w.halt)
	go func() {
		defer close(w.done)
		for {
			w.look()
			select {
			case <-w.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return w
}

func (w *processWatch) look() {
	self := strconv.Itoa(os.Getpid())
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	known := map[string]bool{}
	for _, dir := range dirs {
		pid := filepath.Base(dir)
		args, _ := os.ReadFile(dir + "/cmdline") // may have ended
		one := pid + " " + string(args)
		if known[one] = true; pid == self || w.known[one] {
			continue // what it was started with does not change
		}
		env, _ := os.ReadFile(dir + "/environ")
		for kind, text := range watched {
			if strings.Contains(string(args)+"\x00"+string(env), text) {
				w.seen[kind] = true
			}
		}
		for _, value := range w.values {
			if strings.Contains(string(args), value) {
				w.found[fmt.Sprintf("the command line of %.60q", args)] = true
			}
			if strings.Contains(string(env), value) && !startedHere(pid, args) {
				w.found[fmt.Sprintf("the environment of %.60q", args)] = true
			}
		}
	}
	w.known = known
}

// startedHere reports whether this test started a process, or whether that is
// not to be known: it has ended, or is a copy of one that has not begun its own
// program yet.
func startedHere(pid string, args []byte) bool {
	self, parent := strconv.Itoa(os.Getpid()), parentOf(pid)
	if parent == self || parent == "" {
		return true
	}
	same, _ := os.ReadFile("/proc/" + parent + "/cmdline")
	return parentOf(parent) == self && bytes.Equal(same, args)
}

func (w *processWatch) halt() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

func (w *processWatch) ends() {
	w.t.Helper()
	w.halt()
	for what := range w.found {
		w.t.Errorf("%s holds a secret", what)
	}
	for kind := range watched {
		if !w.seen[kind] {
			w.t.Errorf("the watch saw nothing of %s: it proves nothing", kind)
		}
	}
}

// keyLine is a line of a private key that no other key has.
func keyLine(key string) string {
	lines := strings.Split(strings.TrimSpace(key), "\n")
	return lines[len(lines)/2]
}
