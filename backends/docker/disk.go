package docker

import (
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

// diskFull reports whether a text of the engine's, or of a program in a build,
// says that its disk is full: ENOSPC in the words of Go, of the C library or
// of a package manager that counted before.
func diskFull(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "no space left on device") ||
		strings.Contains(text, "you don't have enough free space")
}

// fullDisk is the error for it. more is what was said at the time, or "".
func (d *Driver) fullDisk(what, more string) error {
	text := what + ": the disk of the engine at " + d.at.String() + " is full (no space left on device)"
	if more != "" {
		text += "; the last lines:\n" + more
	}
	return diag.Errorf("%s", text).WithHint("'docker system df' shows what takes the room; make some and run the same command again")
}
