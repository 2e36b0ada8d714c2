package e2e_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// socket is one that listens: `ss -ltun` has a line for each.
type socket struct{ name, inode string }

// listening are all of the network namespace of a process: by TCP, and by UDP
// those that take from everybody.
func listening(t testing.TB, pid string) (all []socket) {
	t.Helper()
	for table, state := range map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"} {
		b, err := os.ReadFile("/proc/" + pid + "/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == state {
				all = append(all, socket{table + " " + f[1], f[9]})
			}
		}
	}
	return all
}

// portWatch notes every listener that was not there when it began, again and
// again: one that is open for a moment only is one too.
type portWatch struct {
	t      testing.TB
	h      *home
	p      *place
	before map[string][]socket // by process
	found  map[string]bool
	rounds int
	once   sync.Once
	stop   chan struct{}
	done   chan struct{}
}

// watchPorts watches the place and, for what is bb's there too, this machine.
func watchPorts(t testing.TB, h *home, p *place) *portWatch {
	t.Helper()
	w := &portWatch{
		t: t, h: h, p: p, found: map[string]bool{}, stop: make(chan struct{}), done: make(chan struct{}),
		before: map[string][]socket{"self": listening(t, "self"), p.pid: listening(t, p.pid)},
	}
	// It would notice one, on loopback and on the network.
	for _, address := range []string{"127.0.0.1:0", p.ip + ":0"} {
		err := p.do(func() error {
			l, err := net.Listen("tcp4", address)
			if err == nil {
				w.look(p.pid)
				err = l.Close()
			}
			return err
		})
		if err != nil || len(w.found) != 1 {
			t.Fatalf("a port that is open is not noticed: %v, %v", w.found, err)
		}
		clear(w.found)
	}
	t.Cleanup(w.halt)
	go func() {
		defer close(w.done)
		for ; ; w.rounds++ {
			w.look(p.pid)
			if w.rounds%10 == 0 {
				w.look("self")
			}
			select {
			case <-w.stop:
				w.look(p.pid)
				w.look("self")
				return
			case <-time.After(25 * time.Millisecond):
			}
		}
	}()
	return w
}

// look compares. What a process of the place opens is bb's; on this machine
// others work too: of them are those whose process is known, and is none of this
// home's.
func (w *portWatch) look(pid string) {
	now := slices.DeleteFunc(listening(w.t, pid), func(s socket) bool { return slices.Contains(w.before[pid], s) })
	if len(now) == 0 {
		return
	}
	owners := ownersOf(now)
	for _, s := range now {
		owned := owners[s]
		closed := len(owned) == 0 && !slices.Contains(listening(w.t, pid), s)
		switch {
		case s.loopback() && (closed || len(owned) > 0 && !slices.ContainsFunc(owned, notAsking)):
			continue
		case pid == "self" && (closed || len(owned) > 0 && !slices.ContainsFunc(owned, w.h.runs)):
			continue
		}
		w.found[fmt.Sprintf("%s %s of %v", pid, s.name, owned)] = true
	}
}

// notAsking reports whether a process is not a bb that brings machines up: while
// it asks a machine from inside whether this loopback is its own, it listens
// there to hear it.
func notAsking(pid string) bool {
	exe, _ := os.Readlink("/proc/" + pid + "/exe")
	return exe != bbBinary
}

func (s socket) loopback() bool {
	_, address, _ := strings.Cut(s.name, " ")
	return strings.HasPrefix(address, "0100007F:")
}

func (w *portWatch) halt() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

// ends stops the watch and fails the test for what was opened.
func (w *portWatch) ends() {
	w.t.Helper()
	w.halt()
	for name := range w.found {
		w.t.Errorf("a port was opened on the host: %s", name)
	}
	if w.rounds < 10 {
		w.t.Errorf("the host was looked at %d times only", w.rounds)
	}
}

// ownersOf finds the processes that hold sockets.
func ownersOf(all []socket) map[socket][]string {
	held := map[string][]string{}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, fd := range fds {
		to, _ := os.Readlink(fd) // may be gone
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			inode = strings.TrimSuffix(inode, "]")
			held[inode] = append(held[inode], strings.Split(fd, "/")[2])
		}
	}
	owners := map[socket][]string{}
	for _, s := range all {
		owners[s] = held[s.inode]
	}
	return owners
}

// runs reports whether a process, or one that it descends from, is bb of this
// home, a sidecar or a smolvm of it: by program, arguments or environment.
func (h *home) runs(pid string) bool {
	for ; pid != "" && pid != "0" && pid != "1" && pid != fmt.Sprint(os.Getpid()); pid = parentOf(pid) {
		exe, _ := os.Readlink("/proc/" + pid + "/exe")
		args, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		env, _ := os.ReadFile("/proc/" + pid + "/environ")
		if exe == bbBinary || exe == sidecarBinary {
			return true
		}
		for _, dir := range append(h.machineData(), h.dir) {
			if strings.HasPrefix(exe, dir+"/") || strings.Contains(string(args)+string(env), dir) {
				return true
			}
		}
	}
	return false
}

// machineData are smolvm's directories of this home.
func (h *home) machineData() (dirs []string) {
	for _, e := range h.env {
		if dir, ok := strings.CutPrefix(e, "SMOLVM_DATA_DIR="); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func parentOf(pid string) string {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	if f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])); len(f) > 1 {
		return f[1]
	}
	return ""
}

// noPorts: an engine opens a port of the host only where it is told to.
func noPorts(t *testing.T, agents ...string) {
	t.Helper()
	for _, a := range agents {
		for _, sidecar := range []bool{false, true} {
			name := containerOf(t, a, sidecar)
			got := docker(t, "inspect", "--format", "{{.HostConfig.NetworkMode}} {{.HostConfig.PublishAllPorts}} {{json .HostConfig.PortBindings}} {{json .NetworkSettings.Ports}}", name)
			mode, rest, _ := strings.Cut(got, " ")
			if strings.ReplaceAll(rest, "null", "{}") != "false {} {}" || mode == "host" || !sidecar && mode != "none" {
				t.Errorf("%s has ports of the host: %s", name, got)
			}
		}
	}
}
