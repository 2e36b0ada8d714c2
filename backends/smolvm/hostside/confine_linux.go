package hostside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine gives up new privileges and capabilities, and keeps this thread, and
// what it runs, to dir and to sockets in door: see landlock(7).
func confine(dir, door string, programs []string) error {
	runtime.LockOSThread() // for good: exec follows
	version := landlockVersion()
	if version == 0 && os.Geteuid() == 0 {
		return errors.New("this kernel has no Landlock, and root is confined by nothing else (run bb as a user of its own)")
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot give up new privileges: %w", err)
	}
	if version > 0 {
		if err := landlock(version, dir, door, programs); err != nil {
			return err
		}
	}
	return dropCapabilities()
}

// openScore opens what a confined process cannot open, and can still write.
func openScore() *os.File {
	f, err := os.OpenFile("/proc/self/oom_score_adj", os.O_RDWR, 0)
	if err != nil {
		return nil // children do not end first then, which is all
	}
	return f
}

// keptScore is what openScore opened, nil where it could not.
func keptScore() *os.File {
	var is unix.Statfs_t
	if unix.Fstatfs(scoreDescriptor, &is) != nil || is.Type != unix.PROC_SUPER_MAGIC {
		return nil
	}
	return os.NewFile(scoreDescriptor, "oom_score_adj")
}

// Unconfined says what this system lacks, "" when nothing.
func Unconfined() string {
	switch version := landlockVersion(); {
	case version == 0:
		return "this kernel has no Landlock: sidecars of machines can read what you can read"
	case version < 4:
		return "this kernel's Landlock knows no network: sidecars of machines could open a port"
	case version < 6:
		return "this kernel's Landlock knows no signals: sidecars of machines could end other processes of yours"
	}
	return ""
}

func landlockVersion() int {
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// socketsVersion is the first that keeps a process from the named sockets of
// others. It says nothing about those that the sidecar and its children make.
const socketsVersion = 9

// Rights of a directory that is only read, or whose programs are run.
const (
	readRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	runRights  = readRights | unix.LANDLOCK_ACCESS_FS_EXECUTE
	// doorRights make a socket, and remove the one before.
	doorRights = readRights | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE
	// fileRights are those that a file, and no directory, can have.
	fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// rights are those that a version can refuse.
func rights(version int) uint64 {
	all := uint64(unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1) // the thirteen of the first
	if version >= 2 {
		all |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		all |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 5 {
		all |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= socketsVersion {
		all |= unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
	}
	return all
}

func landlock(version int, dir, door string, programs []string) error {
	all := rights(version)
	rules := unix.LandlockRulesetAttr{Handled_access_fs: all}
	if version >= 4 {
		rules.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP // no rule allows one; MPTCP it does not know
	}
	if version >= 6 {
		rules.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules), 0)
	if errno != 0 {
		return fmt.Errorf("cannot confine the sidecar: %w", errno)
	}
	set := int(n)
	defer unix.Close(set)                                                                   //nolint:errcheck // nothing was written
	if err := errors.Join(allow(set, dir, all), allow(set, door, doorRights)); err != nil { // which must be there
		return err
	}
	for right, paths := range map[uint64][]string{
		runRights:  append(programs, "/usr", "/bin", "/sbin", "/lib", "/lib64"),
		readRights: append(settings(os.Geteuid()), "/proc/sys", "/dev/urandom", "/dev/random", "/dev/zero", "/sys/kernel/mm/transparent_hugepage"),
		readRights | unix.LANDLOCK_ACCESS_FS_WRITE_FILE: {"/dev/null"},
	} {
		for _, path := range paths {
			if err := allow(set, path, right); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES) {
				return err
			}
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(set), 0, 0); errno != 0 {
		return fmt.Errorf("cannot confine the sidecar: %w", errno)
	}
	return nil
}

// settings are what names, certificates and ssh are looked up in. A user's own
// rights keep the rest of /etc from them; root is let into these alone. Files
// there are replaced, so where it can be it is their directory.
func settings(uid int) []string {
	paths := []string{"/etc"}
	if uid == 0 {
		paths = nil
		for _, name := range []string{
			"resolv.conf", "hosts", "host.conf", "nsswitch.conf", "gai.conf", "services", "protocols", "passwd", "group",
			"ssl", "pki", "ca-certificates", "ssh/ssh_config", "ssh/ssh_config.d", "crypto-policies",
			"ld.so.cache", "ld.so.conf", "localtime", "alternatives",
		} {
			paths = append(paths, "/etc/"+name)
		}
	}
	if target, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil {
		if parent := filepath.Dir(target); parent != "/etc" {
			paths = append(paths, parent)
		}
	}
	return paths
}

func allow(set int, path string, right uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	var is unix.Stat_t
	if err := unix.Fstat(fd, &is); err != nil {
		return err
	}
	if is.Mode&unix.S_IFMT != unix.S_IFDIR {
		right &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: right, Parent_fd: int32(fd)}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(set), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return &os.PathError{Op: "allow", Path: path, Err: errno}
	}
	return nil
}

// dropCapabilities leaves nothing of root but its name, also after an exec.
func dropCapabilities() error {
	if os.Geteuid() != 0 {
		return nil // exec drops what a user might have
	}
	for c := range unix.CAP_LAST_CAP + 1 {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("cannot drop capabilities: %w", err)
		}
	}
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("cannot drop capabilities: %w", err)
	}
	return nil
}
