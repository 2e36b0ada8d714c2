package main

import "syscall"

// directSocket is the call of its own that 386 has had since Linux 4.3.
const directSocket = 359

// socketCalls are both ways to a socket: a filter that reads the arguments of
// one cannot read those of socketcall, which lie in memory.
var socketCalls = map[string]func(family, kind, protocol int) (int, error){
	"socketcall": syscall.Socket,
	"socket": func(family, kind, protocol int) (int, error) {
		fd, _, errno := syscall.RawSyscall(directSocket, uintptr(family), uintptr(kind), uintptr(protocol))
		if errno != 0 {
			return -1, errno
		}
		return int(fd), nil
	},
}
