package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/egress/door"
)

// namesDir holds a file for each name of a session; memory, so that a restart
// forgets them.
var namesDir = filepath.Dir(door.DefaultEnvFile)

// hold takes a name until the file is closed, or says ErrBusy. The agent may
// hold it too, or put something else in its place: then there is no session
// of that name, and that is all.
func hold(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	if err := CheckName(name); err != nil {
		return nil, err
	}
	const flags = os.O_RDWR | os.O_CREATE | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(filepath.Join(namesDir, "session-"+name), flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, err
	}
	return f, nil
}

// start begins the command, as the leader of a session of its own.
func (s *supervisor) start(o Options, argv []string) error {
	p, err := door.Find(argv, os.Environ(), o.Bare)
	if err != nil {
		return err
	}
	if o.Terminal != nil {
		return s.startOnTerminal(p, *o.Terminal)
	}
	// All three are pipes to here: what is left on purpose holds no stream of
	// the driver's, whose engine would wait for it.
	var in, out, errs [2]int
	for _, p := range []*[2]int{&in, &out, &errs} {
		if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
			return err
		}
	}
	s.pid, err = syscall.ForkExec(p.Path, p.Argv, &syscall.ProcAttr{
		Env: p.Env, Files: []uintptr{uintptr(in[0]), uintptr(out[1]), uintptr(errs[1])},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	_, _, _ = syscall.Close(in[0]), syscall.Close(out[1]), syscall.Close(errs[1])
	if err != nil {
		return p.Failed(err)
	}
	s.stdin = ours(in[1], "input")
	s.pumps.Add(2)
	go s.pump(ours(out[0], "output"), toStdout)
	go s.pump(ours(errs[0], "errors"), s.toStderr)
	return nil
}

// ours is our end of a pipe: it can be waited for with a deadline, which the
// command's end, another open file, does not notice.
func ours(fd int, name string) *os.File {
	_ = syscall.SetNonblock(fd, true) // of a pipe that was made just now
	return os.NewFile(uintptr(fd), name)
}

func (s *supervisor) startOnTerminal(p *door.Program, t Terminal) error {
	master, slave, err := openTerminal()
	if err != nil {
		return fmt.Errorf("no terminal: %w", err)
	}
	defer syscall.Close(slave)
	if err := setSize(master, t.Size); err != nil {
		return fmt.Errorf("size of the terminal: %w", err)
	}
	p.Env = door.SetEnv(p.Env, "TERM", knownType(t.Type))
	tty := uintptr(slave)
	s.pid, err = syscall.ForkExec(p.Path, p.Argv, &syscall.ProcAttr{
		Env: p.Env, Files: []uintptr{tty, tty, tty},
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0},
	})
	if err != nil {
		return p.Failed(err)
	}
	s.master, s.stdin = master, master
	s.pumps.Add(1)
	go s.pump(master, toStdout)
	return nil
}

// openTerminal returns a new terminal: our end, and the command's, which
// blocks as programs expect.
func openTerminal() (master *os.File, slave int, err error) {
	m, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	master = os.NewFile(uintptr(m), "terminal")
	n, err := unix.IoctlGetUint32(m, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = syscall.Open("/dev/pts/"+strconv.Itoa(int(n)), syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	}
	if err != nil {
		_ = master.Close()
	}
	return master, slave, err
}

// withFd calls f with the descriptor, which stays as it is.
func withFd(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

func setSize(master *os.File, s Size) error {
	return withFd(master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols})
	})
}

// endOfFile is the character that ends the input on a terminal.
func endOfFile(master *os.File) byte {
	char := byte(4)
	_ = withFd(master, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			char = t.Cc[unix.VEOF]
		}
		return err
	})
	return char
}

// knownType is kind where the bottle describes such terminals, else one that
// every description has: programs refuse what they do not know.
func knownType(kind string) string {
	const common = "xterm-256color"
	has := func(kind string) bool {
		for _, dir := range []string{"/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"} {
			if _, err := os.Stat(filepath.Join(dir, kind[:1], kind)); err == nil {
				return true
			}
		}
		return false
	}
	if !has(kind) && has(common) {
		return common
	}
	return kind
}
