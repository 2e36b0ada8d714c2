package sidecar

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// harden closes the process's memory to others of its user (no ptrace, no
// /proc/PID/mem, no core file) and gives up gaining privileges through exec.
// It comes before the first secret.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot make the process non-dumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot forbid core files: %w", err)
	}
	// The flag is kept per thread. Go can set it on all of them in a static
	// build, which is what ships; a cgo build (go test -race) sets its own.
	_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if errors.Is(errno, syscall.ENOTSUP) {
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	if errno != 0 {
		return fmt.Errorf("cannot give up new privileges: %w", errno)
	}
	return nil
}

// doorLimit leaves most descriptors to upstream connections and the control
// socket: a flood at the door must not keep the host from changing the policy.
func doorLimit(want int) int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return want
	}
	return max(1, int(min(uint64(want), limit.Cur/8)))
}
