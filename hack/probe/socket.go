//go:build linux && !386

package main

import "syscall"

var socketCalls = map[string]func(family, kind, protocol int) (int, error){"socket": syscall.Socket}
