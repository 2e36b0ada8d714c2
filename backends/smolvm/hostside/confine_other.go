//go:build !linux

package hostside

import "os"

// confine has nothing but the process's own limits on this system.
func confine(string, string, []string) error { return nil }

// Unconfined says what this system lacks.
func Unconfined() string {
	return "sidecars of machines are not confined to their directory on this system"
}

func openScore() *os.File { return nil }

func keptScore() *os.File { return nil }

// Reach lists nothing: what Unconfined says is more.
func Reach() []string { return nil }
