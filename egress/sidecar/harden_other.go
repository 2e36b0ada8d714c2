//go:build !linux

package sidecar

import "syscall"

// harden forbids core files; what Linux offers beyond that has no equal here.
func harden() error {
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}

func doorLimit(want int) int { return want }
