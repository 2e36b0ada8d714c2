package tree

import (
	"io/fs"
	"syscall"
)

// inode identifies a file under all of its names.
type inode struct{ dev, ino uint64 }

// names returns the identity of a file and how many names it has.
func names(info fs.FileInfo) (inode, uint64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{}, 1
	}
	return inode{uint64(st.Dev), uint64(st.Ino)}, uint64(st.Nlink) //nolint:unconvert // their types differ between systems
}
