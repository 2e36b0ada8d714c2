// Command probe runs inside a bottle and tries what a bottle must refuse. Each
// line of its output is a name and what the kernel said; "done" means that it
// let it happen.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) > 1 {
		alone(os.Args[1])
		return
	}
	for _, p := range append(sockets(), others()...) {
		fmt.Printf("%s\t%s\n", p.name, say(p.try()))
	}
}

type probe struct {
	name string
	try  func() error
}

func say(err error) string {
	if err == nil {
		return "done"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func sockets() []probe {
	list := []struct {
		name                string
		family, kind, proto int
	}{
		{"unix", unix.AF_UNIX, unix.SOCK_STREAM, 0},
		{"tcp", unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 0},
		{"udp6", unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP},
		{"mptcp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP},
		{"netlink route", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE},
		{"netlink netfilter", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER},
		{"netlink uevent", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT},
		{"vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0},
		{"alg", unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
		{"packet", unix.AF_PACKET, unix.SOCK_RAW, 0},
		{"raw", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		{"ping", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP},
		{"sctp", unix.AF_INET, unix.SOCK_SEQPACKET, 132},
		{"sctp stream", unix.AF_INET, unix.SOCK_STREAM, 132},
		{"dccp", unix.AF_INET, 6, 33},
		{"udplite", unix.AF_INET, unix.SOCK_DGRAM, 136},
		{"bluetooth", unix.AF_BLUETOOTH, unix.SOCK_RAW, 0},
		{"can", unix.AF_CAN, unix.SOCK_RAW, 1},
		{"rds", unix.AF_RDS, unix.SOCK_SEQPACKET, 0},
		{"tipc", unix.AF_TIPC, unix.SOCK_SEQPACKET, 0},
		{"xdp", unix.AF_XDP, unix.SOCK_RAW, 0},
		{"kcm", unix.AF_KCM, unix.SOCK_DGRAM, 0},
		{"smc", unix.AF_SMC, unix.SOCK_STREAM, 0},
		{"qipcrtr", unix.AF_QIPCRTR, unix.SOCK_DGRAM, 0},
		{"key", unix.AF_KEY, unix.SOCK_RAW, 2},
	}
	var out []probe
	for _, s := range list {
		out = append(out, probe{"socket " + s.name, func() error {
			fd, err := unix.Socket(s.family, s.kind, s.proto)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}})
	}
	return append(out,
		probe{"socket high bits", func() error { // the kernel looks at 32 of the 64 bits
			high := uint64(1) << 32
			return call(unix.SYS_SOCKET, uintptr(high)|unix.AF_VSOCK, unix.SOCK_STREAM, 0)
		}},
		probe{"socketpair inet", func() error {
			_, err := unix.Socketpair(unix.AF_TIPC, unix.SOCK_STREAM, 0)
			return err
		}},
		probe{"dial outside tcp", func() error { return dial("tcp", "192.0.2.1:443") }},
		probe{"dial outside udp", func() error { return dial("udp", "192.0.2.1:53") }},
		probe{"dial bridge", func() error { return dial("udp", "172.17.0.1:53") }},
		probe{"listen 80", func() error {
			l, err := net.Listen("tcp4", "127.0.0.1:80")
			if err == nil {
				l.Close()
			}
			return err
		}},
	)
}

func dial(network, addr string) error {
	c, err := net.Dial(network, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("x"))
	return err
}

func call(nr, a, b, c uintptr) error {
	if _, _, errno := syscall.RawSyscall6(nr, a, b, c, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func others() []probe {
	zero := make([]byte, 256)
	at := uintptr(unsafe.Pointer(&zero[0]))
	path := func(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s + "\x00"))) }
	open := func(name string) error {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		return err
	}
	return []probe{
		{"io_uring_setup", func() error { return call(unix.SYS_IO_URING_SETUP, 1, at, 0) }},
		{"io_uring_enter", func() error { return call(unix.SYS_IO_URING_ENTER, 0, 0, 0) }},
		{"io_uring_register", func() error { return call(unix.SYS_IO_URING_REGISTER, 0, 0, 0) }},
		{"unshare user", func() error { return call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0) }},
		{"unshare net", func() error { return call(unix.SYS_UNSHARE, unix.CLONE_NEWNET, 0, 0) }},
		{"clone user", func() error { return forkLike(unix.CLONE_NEWUSER) }},
		{"clone net", func() error { return forkLike(unix.CLONE_NEWNET) }},
		{"clone3", func() error { return call(unix.SYS_CLONE3, at, 88, 0) }},
		{"setns", func() error { return call(unix.SYS_SETNS, 0, 0, 0) }},
		{"keyctl", func() error { return call(unix.SYS_KEYCTL, 0, ^uintptr(2), 0) }},
		{"add_key", func() error { return call(unix.SYS_ADD_KEY, path("user"), path("x"), at) }},
		{"request_key", func() error { return call(unix.SYS_REQUEST_KEY, path("user"), path("x"), 0) }},
		{"bpf", func() error { return call(unix.SYS_BPF, 0, at, 72) }},
		{"perf_event_open", func() error { return call(unix.SYS_PERF_EVENT_OPEN, at, 0, 0) }},
		{"userfaultfd", func() error { return call(unix.SYS_USERFAULTFD, 0, 0, 0) }},
		{"mount", func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") }},
		{"fsopen", func() error { return call(unix.SYS_FSOPEN, path("tmpfs"), 0, 0) }},
		{"open_tree", func() error { return call(unix.SYS_OPEN_TREE, ^uintptr(99), path("/"), 1) }},
		{"move_mount", func() error { return call(unix.SYS_MOVE_MOUNT, 0, 0, 0) }},
		{"pivot_root", func() error { return call(unix.SYS_PIVOT_ROOT, path("/"), path("/"), 0) }},
		{"chroot", func() error { return unix.Chroot("/tmp") }},
		{"mknod device", func() error { return unix.Mknod("/tmp/mem", unix.S_IFCHR|0o600, 1<<8|1) }},
		{"open_by_handle_at", func() error { return call(unix.SYS_OPEN_BY_HANDLE_AT, 0, at, 0) }},
		{"init_module", func() error { return call(unix.SYS_INIT_MODULE, at, 0, 0) }},
		{"kexec_load", func() error { return call(unix.SYS_KEXEC_LOAD, 0, 0, 0) }},
		{"reboot", func() error { return call(unix.SYS_REBOOT, 0, 0, 0) }},
		{"swapon", func() error { return call(unix.SYS_SWAPON, at, 0, 0) }},
		{"sethostname", func() error { return unix.Sethostname([]byte("x")) }},
		{"settimeofday", func() error { return call(unix.SYS_CLOCK_SETTIME, 0, at, 0) }},
		{"setuid root", func() error { return unix.Setuid(0) }},
		{"syslog", func() error { return call(unix.SYS_SYSLOG, 3, at, 16) }},
		{"pidfd_getfd", func() error { return call(unix.SYS_PIDFD_GETFD, 0, 0, 0) }},
		{"kcmp", func() error { return call(unix.SYS_KCMP, 1, 1, 0) }},
		{"quotactl", func() error { return call(unix.SYS_QUOTACTL, 0, 0, 0) }},
		{"fanotify_init", func() error { return call(unix.SYS_FANOTIFY_INIT, 0, 0, 0) }},
		{"write binary", func() error { return open("/bb/bin/bb") }},
		{"write beside binary", func() error { return os.WriteFile("/bb/bin/x", nil, 0o600) }},
		{"remove door", func() error { return os.Remove("/bb/door/door.sock") }},
		{"rename door", func() error { return os.Rename("/bb/door/door.sock", "/bb/door/x") }},
		{"write core_pattern", func() error { return open("/proc/sys/kernel/core_pattern") }},
		{"write sysrq", func() error { return open("/proc/sysrq-trigger") }},
		{"write sysctl", func() error { return open("/proc/sys/net/ipv4/ip_forward") }},
		{"write cgroup", func() error { return os.Mkdir("/sys/fs/cgroup/memory/x", 0o755) }},
		{"write ca", func() error { return open("/usr/local/share/ca-certificates/bb.crt") }},
		{"write resolv.conf", func() error { return open("/etc/resolv.conf") }},
		{"write hosts", func() error { return open("/etc/hosts") }},
	}
}

// forkLike is clone with flags; a child, if there is one, ends at once.
func forkLike(flags uintptr) error {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return nil
}
