package hostside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/egress"
)

// confinement names what follows: a sidecar that was started under other rules
// is replaced.
const confinement = "2"

const pidFile = "pid"

// maxDescriptors is enough for a door of its default size.
const maxDescriptors = 16384

// Become makes this process the sidecar of its working directory: it takes the
// pid file's lock, which outlives the exec, writes down who it is, confines
// itself, and runs argv. It
// returns only an error. Threads are confined one by one: so the one that does
// it runs the new program, which then has no other.
func Become(argv []string, readable []string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	unix.Umask(0o077)
	if err := claim(pidFile); err != nil {
		return err
	}
	me := process{os.Getpid(), time.Now(), born(os.Getpid())}
	if err := write(home(filepath.Dir(dir)).file(processFile), me); err != nil {
		return err
	}
	if err := limit(); err != nil {
		return err
	}
	if err := confine(dir, filepath.Join(filepath.Dir(dir), "d"), append([]string{self}, readable...)); err != nil {
		return err
	}
	return syscall.Exec(self, append([]string{self}, argv...), os.Environ())
}

// claim locks the pid file for this process. A record lock: the kernel names
// its holder, exec keeps it and children do not have it.
func claim(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW, 0o600) // stays open in the next program
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		return errors.New("another sidecar has this directory")
	}
	return nil
}

// Adopt takes what the one who ran Become left to this process: it keeps what
// is open from children, and returns the key to its control socket, which comes
// on standard input.
func Adopt() (key string, err error) {
	sealDescriptors()
	key, err = egress.ReadControlKey(os.Stdin)
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer null.Close()
	return key, Onto(null, 0)
}

func limit() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot forbid core files: %w", err)
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	files.Max = min(files.Max, maxDescriptors)
	files.Cur = files.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
}

// sealDescriptors closes at the next exec what this process was started with.
func sealDescriptors() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil { // a confined process does not see it
		for fd := 3; fd < 256; fd++ {
			unix.CloseOnExec(fd)
		}
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
