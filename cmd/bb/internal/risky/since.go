package risky

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// File is one of them.
type File struct{ Path, Why string }

// maxKept bounds what is kept; all are counted.
const maxKept = 1000

// maxEntries bounds what is read of one directory.
const maxEntries = 100_000

// List collects the risky files of a tree.
type List struct {
	files []File
	Count int
}

// Add takes a path in, if it is one.
func (l *List) Add(file string) {
	why := Risky(file)
	if why == "" {
		return
	}
	l.Count++
	if len(l.files) < maxKept {
		l.files = append(l.files, File{file, why})
	}
}

// First returns at most n, those nearest to the top first.
func (l *List) First(n int) []File {
	slices.SortStableFunc(l.files, func(a, b File) int {
		if d := strings.Count(a.Path, "/") - strings.Count(b.Path, "/"); d != 0 {
			return d
		}
		return strings.Compare(a.Path, b.Path)
	})
	return l.files[:min(n, len(l.files))]
}

// Since lists what changed in a directory since a time. What counts is when
// the file system noted the change: a program can set any other time. Links
// are not followed; what cannot be read is passed over.
func Since(dir string, since time.Time) (*List, error) {
	l := &List{}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return l, err
	}
	defer root.Close()
	// A file system's clock is coarser than ours.
	l.walk(root, ".", since.Add(-20*time.Millisecond))
	return l, nil
}

func (l *List) walk(root *os.Root, at string, since time.Time) {
	// What was a directory a moment ago may be a pipe now.
	d, err := root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0)
	if err != nil {
		return
	}
	names, _ := d.Readdirnames(maxEntries)
	_ = d.Close()
	for _, n := range names {
		name := path.Join(at, n)
		info, err := root.Lstat(name)
		switch {
		case err != nil || len(name) > 4096:
		case info.IsDir():
			l.walk(root, name, since)
		case (info.Mode().IsRegular() || info.Mode()&fs.ModeSymlink != 0) && !changed(info).Before(since):
			l.Add(name)
		}
	}
}
