package leaks

import "golang.org/x/sys/unix"

// seal closes this process's memory to others of its user.
func seal() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
