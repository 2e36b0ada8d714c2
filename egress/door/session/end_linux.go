package session

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// end hangs up: the command and what is in the foreground of its terminal are
// told, and after the grace all that descends from here is killed. What left
// the group or became a daemon descends from here too: this process is the
// reaper of orphans below it.
func (s *supervisor) end() {
	s.tell(s.pid)
	if s.master != nil {
		_ = withFd(s.master, func(fd int) error {
			group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
			if err == nil && group > 1 && group != s.pid {
				s.tell(group)
			}
			return err
		})
		_ = s.master.Close() // the kernel hangs up too: writes fail from now on
	}
	select {
	case <-s.gone:
		return
	case <-time.After(grace):
	}
	s.killAll()
}

// tell sends the hangup to a group, also if it is stopped.
func (s *supervisor) tell(group int) {
	_ = syscall.Kill(-group, syscall.SIGHUP)
	_ = syscall.Kill(-group, syscall.SIGCONT)
}

// killAll stops before it kills: what is stopped does not fork, and counts
// against the bottle's limit, so that it also ends what multiplies.
func (s *supervisor) killAll() {
	for until := time.Now().Add(killing); time.Now().Before(until); {
		stopped := map[int]bool{}
		for fresh := true; fresh && time.Now().Before(until); {
			fresh = false
			for _, pid := range descendants(os.Getpid()) {
				if !stopped[pid] {
					stopped[pid], fresh = true, true
					_ = syscall.Kill(pid, syscall.SIGSTOP)
				}
			}
		}
		for _, pid := range descendants(os.Getpid()) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-s.gone:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// descendants lists every process below pid.
func descendants(pid int) []int {
	children := map[int][]int{}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		child, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if parent := parentOf(name); parent > 0 {
			children[parent] = append(children[parent], child)
		}
	}
	var all []int
	for next := children[pid]; len(next) > 0; next = next[1:] {
		all = append(all, next[0])
		next = append(next, children[next[0]]...)
	}
	return all
}

// parentOf reads a process's parent; 0 where it has none or is gone.
func parentOf(pid string) int {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0
	}
	// A program chooses its name, which may contain anything: it ends with the
	// last bracket. Then come state and parent.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	return parent
}
