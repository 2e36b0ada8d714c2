//go:build !linux

package risky

import (
	"io/fs"
	"syscall"
	"time"
)

// changed is when the file system noted the last change of a file.
func changed(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctimespec.Unix())
	}
	return info.ModTime()
}
