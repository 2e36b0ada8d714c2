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
	"github.com/bot-bottle/bb/egress/child"
)

// confinement names what follows: a sidecar that was started under other rules
// is replaced.
const confinement = "2"

const pidFile = "pid"

const (
	// maxDescriptors is enough for a door of its default size.
	maxDescriptors = 16384
	// maxData is what the sidecar, and every child of it, may take in memory: as
	// much as an engine gives a sidecar with all its children.
	maxData = 1 << 30

	// firstDescriptor of those that Become leaves open for good: below it is what
	// a program finds by number.
	firstDescriptor = 10
	// scoreDescriptor is the process's oom_score_adj, if it has one: see child.Score.
	scoreDescriptor = 3
)

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
	score := openScore()
	if err := confine(dir, filepath.Join(filepath.Dir(dir), "d"), append([]string{self}, readable...)); err != nil {
		return err
	}
	if score != nil { // what has that number here is not needed any more
		if err := Onto(score, scoreDescriptor); err != nil {
			return err
		}
	}
	return syscall.Exec(self, append([]string{self}, argv...), os.Environ())
}

// claim locks the pid file for this process. A record lock: the kernel names
// its holder, exec keeps it and children do not have it.
func claim(path string) error {
	low, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fd, err := unix.FcntlInt(uintptr(low), unix.F_DUPFD, firstDescriptor) // stays open in the next program
	if err := errors.Join(err, unix.Close(low)); err != nil {             // before the lock, which it would end
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
	if score := keptScore(); score != nil {
		if err := child.Score(score); err != nil {
			return "", err
		}
	}
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
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	var data unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &data); err != nil {
		return err
	}
	data.Max = min(data.Max, maxData)
	data.Cur = data.Max
	return unix.Setrlimit(unix.RLIMIT_DATA, &data)
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
