package fakesmol

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"unsafe"
)

// boxConfig is what a box gets as JSON on descriptor 3.
type boxConfig struct {
	Home, Root, Name string
	Volumes          []mount
	Argv, Env        []string
	Dir, User        string
	NoOverlay        bool
	Device           bool // a network device that leads nowhere
}

// playBox is the first process of the namespaces: it makes the machine's file
// systems and becomes the workload. What goes wrong it says on descriptor 4.
func playBox() int {
	say := os.NewFile(4, "say")
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	var c boxConfig
	in := os.NewFile(3, "config")
	err := json.NewDecoder(in).Decode(&c)
	_ = in.Close()
	if err == nil {
		err = c.enter()
	}
	if err == nil && len(c.Argv) > 0 {
		err = c.become()
		fmt.Fprintln(os.Stderr, "ERROR workload:", err)
		err = nil // smolvm boots on; the next exec finds a container that idles
	}
	if err != nil {
		fmt.Fprint(say, err)
		return 1
	}
	_ = say.Close()
	idle()
	return 0
}

func idle() {
	children := make(chan os.Signal, 8)
	signal.Notify(children, syscall.SIGCHLD)
	for range children {
		for pid := 1; pid > 0; {
			pid, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
}

func (c *boxConfig) become() error {
	who, err := lookUp(c.User)
	if err != nil {
		return err
	}
	path, err := find(c.Argv[0], c.Env)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	if err := os.Chdir(c.Dir); err != nil {
		return err
	}
	lessPower()
	if who.uid != 0 || who.gid != 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(who.gid), syscall.Setuid(who.uid)); err != nil {
			return err
		}
	}
	return syscall.Exec(path, c.Argv, withHome(c.Env, who))
}

func (c *boxConfig) enter() error {
	steps := []struct {
		what string
		do   func() error
	}{
		{"private mounts", func() error { return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "") }},
		{"disk", c.disk},
		{"pivot", c.pivot},
		{"file systems", fileSystems},
		{"workspace and volumes", c.lend},
		{"old root", func() error { return errors.Join(syscall.Unmount(oldRoot, syscall.MNT_DETACH), os.Remove(oldRoot)) }},
		{"hostname", func() error { return syscall.Sethostname([]byte(clipName(c.Name))) }},
		{"network", c.network},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

func clipName(name string) string { return name[:min(len(name), 63)] }

const oldRoot = "/.fakesmol-old"

func (c *boxConfig) mnt() string { return filepath.Join(c.Home, "mnt") }

// disk puts the machine's own layer over the image. Where the system's
// directory takes no overlay, the machine gets a copy.
func (c *boxConfig) disk() error {
	for _, d := range []string{"mnt", "upper", "work", "workspace"} {
		if err := os.MkdirAll(filepath.Join(c.Home, d), 0o755); err != nil {
			return err
		}
	}
	own := filepath.Join(c.Home, "copy")
	if _, err := os.Stat(own); err != nil {
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", c.Root, filepath.Join(c.Home, "upper"), filepath.Join(c.Home, "work"))
		if !c.NoOverlay && syscall.Mount("overlay", c.mnt(), "overlay", 0, options) == nil {
			return nil
		}
		if out, err := exec.Command("cp", "-a", c.Root+"/.", own+".new").CombinedOutput(); err != nil {
			return fmt.Errorf("copy the image: %w: %s", err, out)
		}
		if err := os.Rename(own+".new", own); err != nil {
			return err
		}
	}
	return syscall.Mount(own, c.mnt(), "", syscall.MS_BIND|syscall.MS_REC, "")
}

func (c *boxConfig) pivot() error {
	old := c.mnt() + oldRoot
	if err := os.MkdirAll(old, 0o700); err != nil {
		return err
	}
	if err := syscall.PivotRoot(c.mnt(), old); err != nil {
		return err
	}
	return os.Chdir("/")
}

func fileSystems() error {
	const quiet = syscall.MS_NOSUID | syscall.MS_NODEV
	for _, m := range []struct {
		kind, at, options string
		flags             uintptr
	}{
		{"proc", "/proc", "", quiet | syscall.MS_NOEXEC},
		{"sysfs", "/sys", "", quiet | syscall.MS_NOEXEC | syscall.MS_RDONLY},
		{"tmpfs", "/dev", "mode=755", syscall.MS_NOSUID},
		{"devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620", syscall.MS_NOSUID | syscall.MS_NOEXEC},
		{"tmpfs", "/dev/shm", "mode=1777", quiet},
		{"tmpfs", "/tmp", "mode=1777", quiet},
		{"tmpfs", "/run", "mode=755", quiet},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(m.kind, m.at, m.kind, m.flags, m.options); err != nil {
			return fmt.Errorf("%s: %w", m.at, err)
		}
	}
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for name, minor := range map[string]int{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		if err := syscall.Mknod("/dev/"+name, syscall.S_IFCHR|0o666, 1<<8|minor); err != nil {
			return fmt.Errorf("/dev/%s: %w", name, err)
		}
	}
	return errors.Join(
		syscall.Mknod("/dev/tty", syscall.S_IFCHR|0o666, 5<<8),
		os.Symlink("pts/ptmx", "/dev/ptmx"), os.Symlink("/proc/self/fd", "/dev/fd"),
		os.Symlink("/proc/self/fd/0", "/dev/stdin"), os.Symlink("/proc/self/fd/1", "/dev/stdout"), os.Symlink("/proc/self/fd/2", "/dev/stderr"),
	)
}

// lend binds directories of this machine, which are below the old root now.
func (c *boxConfig) lend() error {
	all := append([]mount{{Host: filepath.Join(c.Home, "workspace"), Guest: "/workspace"}}, c.Volumes...)
	for _, m := range all {
		if err := os.MkdirAll(m.Guest, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(oldRoot+m.Host, m.Guest, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", m.Guest, err)
		}
		if m.ReadOnly {
			const again = syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY
			if err := syscall.Mount("", m.Guest, "", again, ""); err != nil {
				return fmt.Errorf("%s read-only: %w", m.Guest, err)
			}
		}
	}
	return nil
}

// network brings lo up, the only interface there is, but for a machine that is to
// pull its image: that one has a bridge of no ports for a device.
func (c *boxConfig) network() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	up := func(name string) error {
		var request struct {
			name  [16]byte
			flags uint16
			_     [22]byte
		}
		copy(request.name[:], name)
		request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
		return ioctl(fd, syscall.SIOCSIFFLAGS, unsafe.Pointer(&request))
	}
	if err := up("lo"); err != nil || !c.Device {
		return err
	}
	const makeBridge = 0x89a0 // SIOCBRADDBR
	eth0 := [16]byte{'e', 't', 'h', '0'}
	if err := ioctl(fd, makeBridge, unsafe.Pointer(&eth0)); err != nil {
		return err
	}
	return up("eth0")
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// lessPower takes what would reach this machine's own kernel from the programs
// that this thread starts: module, raw io, boot, time, device nodes.
func lessPower() {
	const dropBound = 24 // PR_CAPBSET_DROP
	for _, capability := range []uintptr{16, 17, 22, 25, 27} {
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, dropBound, capability, 0)
	}
}
