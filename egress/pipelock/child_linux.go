package pipelock

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// Limits of the program: its connections are two for each request of bb's.
const (
	maxDescriptors = 4096
	maxFileBytes   = 16 << 20
)

// restrict limits a process that was just started: no core file, in which
// requests would lie, no file that fills the directory, not all descriptors.
func restrict(pid int) error {
	for what, most := range map[int]uint64{
		unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: maxFileBytes, unix.RLIMIT_NOFILE: maxDescriptors,
	} {
		var has unix.Rlimit
		if err := unix.Prlimit(pid, what, nil, &has); err != nil {
			return err
		}
		most = min(most, has.Max)
		if err := unix.Prlimit(pid, what, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
			return err
		}
	}
	return nil
}
