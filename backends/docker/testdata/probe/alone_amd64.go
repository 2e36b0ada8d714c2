package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// int80 makes a system call as a 32-bit program does.
func int80(nr, a uintptr) uintptr

// alone tries what must end the thread. The filter ends no more than that, so
// another thread ends the process, with a code that a signal would give.
func alone(name string) {
	go func() {
		time.Sleep(500 * time.Millisecond)
		os.Exit(128 + 31)
	}()
	switch name {
	case "int80": // getpid of the 32-bit table; socketcall is 102
		fmt.Println("went on:", int80(20, 0))
	case "x32":
		fmt.Println("went on:", call(1<<30|unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0))
	}
}
