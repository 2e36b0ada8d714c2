package child

import (
	"errors"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const canHold = true

// seal keeps from children what this process itself was started with: Go marks
// only what it opened. Nobody may inherit bb's descriptors but by Files.
var seal = sync.OnceFunc(func() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
})

func attributes(held bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Ptrace: held}
}

// hold waits until a traced process stands at the start of its program, and
// returns false when it is dead instead.
func hold(pid int) bool {
	var info unix.Siginfo
	err := waitid(pid, &info, unix.WSTOPPED|unix.WEXITED)
	const trapped = 4 // CLD_TRAPPED of sigaction(2)
	return err == nil && info.Code == trapped
}

func release(pid int) { _ = unix.PtraceDetach(pid) }

// await waits for the end of a process and leaves it to be collected.
func await(pid int) {
	var info unix.Siginfo
	_ = waitid(pid, &info, unix.WEXITED)
}

func waitid(pid int, info *unix.Siginfo, options int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, info, options|unix.WNOWAIT|unix.WALL, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// restrict limits a process that was just started.
func restrict(pid int, l Limits) error {
	if err := limit(pid, unix.RLIMIT_CORE, 0); err != nil {
		return err
	}
	expend(pid)
	for what, most := range map[int]uint64{
		unix.RLIMIT_AS: l.AddressSpace, unix.RLIMIT_DATA: l.Data, unix.RLIMIT_CPU: l.CPU,
		unix.RLIMIT_FSIZE: l.FileSize, unix.RLIMIT_NOFILE: l.Descriptors,
	} {
		if what == unix.RLIMIT_FSIZE && l.NoFiles {
			most = 0
		} else if most == 0 {
			continue
		}
		if err := limit(pid, what, most); err != nil {
			return err
		}
	}
	return nil
}

func limit(pid, what int, most uint64) error {
	var has unix.Rlimit
	if err := unix.Prlimit(pid, what, nil, &has); err != nil {
		return err
	}
	most = min(most, has.Max)
	return unix.Prlimit(pid, what, &unix.Rlimit{Cur: most, Max: most}, nil)
}
