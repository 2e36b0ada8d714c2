package hostside

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// others tries what a process may do to others of its user by other means than
// reading and writing, signals and traces. What Landlock does not keep it from
// is in docs/security.md.
func (a attempts) others(try func(string, error)) {
	h := home(a.Sibling)
	for prefix, pid := range map[string]int{"": a.Neighbor, "a sibling: ": a.Process} {
		proc := "/proc/" + strconv.Itoa(pid) + "/"
		_, _, errno := unix.Syscall(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), 0)
		try(prefix+"compare with it", failed(errno))
		_, _, errno = unix.Syscall6(unix.SYS_MOVE_PAGES, uintptr(pid), 0, 0, 0, 0, 0)
		try(prefix+"move its pages", failed(errno))
		try(prefix+"have it end first", os.WriteFile(proc+"oom_score_adj", []byte("1000"), 0))
		_, err := os.Readlink(proc + "cwd")
		try(prefix+"see where it is", err)
	}
	try("become root of a namespace", unix.Unshare(unix.CLONE_NEWUSER))
	try("mount", unix.Mount("none", "/tmp", "tmpfs", 0, ""))
	_, err := unix.Open("/proc/self/oom_score_adj", unix.O_RDWR, 0)
	try("open its score again", err)
	_, err = os.ReadDir("/proc")
	try("list processes", err)

	// What it can do.
	var has unix.Rlimit
	err = unix.Prlimit(a.Process, unix.RLIMIT_STACK, nil, &has)
	if err == nil {
		err = unix.Prlimit(a.Process, unix.RLIMIT_STACK, &has, nil)
	}
	try("a sibling: change its limits", err)
	try("change the mode of a file", os.Chmod(a.Secret, 0o700))
	c, err := net.DialTimeout("unix", h.door(), time.Second)
	if err == nil {
		_ = c.Close()
	}
	try("connect to a sibling's door", err)
	try("learn the names of a sibling's sockets", listed(h.door()))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Listen(fd, 1) // on a port that the kernel chooses
	}
	try("open a port without naming one", err)
}

func failed(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// listed asks the kernel for all unix sockets, see sock_diag(7).
func listed(path string) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	request := make([]byte, unix.SizeofNlMsghdr+24)
	head := (*unix.NlMsghdr)(unsafe.Pointer(&request[0]))
	head.Len, head.Type, head.Flags = uint32(len(request)), 20, unix.NLM_F_REQUEST|unix.NLM_F_DUMP // SOCK_DIAG_BY_FAMILY
	body := request[unix.SizeofNlMsghdr:]
	body[0] = unix.AF_UNIX
	*(*uint32)(unsafe.Pointer(&body[4])) = ^uint32(0) // in every state
	*(*uint32)(unsafe.Pointer(&body[12])) = 1         // UDIAG_SHOW_NAME
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}); err != nil {
		return err
	}
	for piece := make([]byte, 64<<10); ; {
		n, _, err := unix.Recvfrom(fd, piece, 0)
		if err != nil {
			return err
		}
		if strings.Contains(string(piece[:n]), path) {
			return nil
		}
	}
}
