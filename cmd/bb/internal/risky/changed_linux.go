package risky

import (
	"io/fs"
	"syscall"
	"time"
)

// changed is when the file system noted the last change of a file.
func changed(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(int64(st.Ctim.Sec), int64(st.Ctim.Nsec)) //nolint:unconvert // 32 bits on some systems
	}
	return info.ModTime()
}
