//go:build linux

package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	familyALG   = 38
	familyVSOCK = 40
	// ioURingSetup has one number on every architecture.
	ioURingSetup = 425
	noop         = "noop"
)

// kernel asks for doors of the kernel that lead past every network interface,
// or to privileges from which one could be made.
func kernel() {
	for _, f := range []struct {
		name              string
		family, kind, num int
	}{
		{"vsock stream", familyVSOCK, syscall.SOCK_STREAM, 0},
		{"vsock datagram", familyVSOCK, syscall.SOCK_DGRAM, 0},
		{"af_alg", familyALG, syscall.SOCK_SEQPACKET, 0},
		{"af_packet raw", syscall.AF_PACKET, syscall.SOCK_RAW, 0x300},
		{"af_packet datagram", syscall.AF_PACKET, syscall.SOCK_DGRAM, 0x300},
		{"inet raw", syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW},
	} {
		for call, socket := range socketCalls {
			fd, err := socket(f.family, f.kind, f.num)
			if err == nil {
				syscall.Close(fd)
			}
			refused(f.name, call, err)
		}
	}

	var params [120]byte // struct io_uring_params
	fd, _, errno := syscall.Syscall(ioURingSetup, 1, uintptr(unsafe.Pointer(&params[0])), 0)
	runtime.KeepAlive(&params)
	if errno == 0 {
		syscall.Close(int(fd))
		refused("io_uring", "", nil)
	} else {
		refused("io_uring", "", errno)
	}

	// In a child: unshare of a user namespace needs a process of one thread.
	refused("user namespace", "clone", child(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}))
	refused("user namespace", "unshare", child(&syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWUSER}))
	refused("network namespace", "unshare", child(&syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET}))
	refused("mount", "proc", syscall.Mount("proc", "/tmp", "proc", 0, ""))
	refused("set uid", "root", syscall.Setuid(0))
}

func child(attr *syscall.SysProcAttr) error {
	cmd := exec.Command("/proc/self/exe", noop)
	cmd.SysProcAttr = attr
	return cmd.Run()
}

func kill(pid string) {
	n, err := strconv.Atoi(pid)
	if err == nil {
		err = syscall.Kill(n, syscall.SIGKILL)
	}
	if err != nil {
		refused("kill", pid, err)
		os.Exit(1)
	}
}
