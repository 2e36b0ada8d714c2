package leaks

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// Limits of the child: it needs no file but the three that it has and those
// that Go's poller takes, and no other program.
const (
	maxDescriptors = 8
	maxSeconds     = 2 * 600 // of both cores, for the longest time it may take
)

// confine takes from this process what it does not need: memory, files,
// sockets. What it was given stays.
func confine() error {
	for what, most := range map[int]uint64{
		unix.RLIMIT_DATA: dataLimit, unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_NOFILE: maxDescriptors, unix.RLIMIT_CPU: maxSeconds,
	} {
		var has unix.Rlimit
		if err := unix.Getrlimit(what, &has); err != nil {
			return fmt.Errorf("cannot read a limit: %w", err)
		}
		most = min(most, has.Max)
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("cannot set a limit: %w", err)
		}
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
