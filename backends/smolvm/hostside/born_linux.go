package hostside

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

// born tells a process from all others that have its number, before and after:
// by the system's start, the namespace of numbers, and its own start. It is ""
// for one that has ended, also where nobody has looked yet.
func born(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name, in parentheses, can hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, start = 0, 19 // fields 3 and 22 of proc_pid_stat(5)
	if len(fields) <= start || bytes.Contains([]byte("ZXx"), fields[state]) {
		return ""
	}
	here := system()
	if here == "" {
		return ""
	}
	return here + " " + string(fields[start])
}

var system = sync.OnceValue(func() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	numbers, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(boot)) + " " + numbers
})
