package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// maxBoundedLog bounds the log of a process that lives long, in bytes; the
// latest half of it is kept.
const maxBoundedLog = 256 << 10

// boundedLog is the file of such a process, one line an event.
type boundedLog struct {
	path string

	mu sync.Mutex
	f  *os.File
	n  int64
}

func openBoundedLog(path string) (*boundedLog, error) {
	f, err := openPrivate(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	n, err := f.Seek(0, 2)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &boundedLog{path: path, f: f, n: n}, nil
}

// note writes a line.
func (l *boundedLog) note(format string, args ...any) {
	_, _ = l.Write([]byte(time.Now().UTC().Format(time.RFC3339) + " " + fmt.Sprintf(format, args...) + "\n"))
}

// Write adds whole lines. A full disk holds up nobody: they are lost.
func (l *boundedLog) Write(lines []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n+int64(len(lines)) > maxBoundedLog {
		l.halve()
	}
	n, _ := l.f.WriteAt(lines, l.n)
	l.n += int64(n)
	return len(lines), nil
}

// halve keeps the latest half, in another file that takes the name: who reads
// at this moment never finds the log empty.
func (l *boundedLog) halve() {
	kept := make([]byte, min(l.n, maxBoundedLog/2))
	n, _ := l.f.ReadAt(kept, l.n-int64(len(kept)))
	kept = kept[:n]
	kept = kept[bytes.IndexByte(kept, '\n')+1:]
	f, err := openPrivate(l.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err == nil {
		if _, err = f.Write(kept); err == nil {
			err = os.Rename(l.path+".new", l.path)
		}
		if err != nil {
			_ = f.Close()
		}
	}
	if err != nil { // bounded before it is whole
		_ = l.f.Truncate(0)
		l.n = 0
		return
	}
	_ = l.f.Close()
	l.f, l.n = f, int64(len(kept))
}

// Close closes the file.
func (l *boundedLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
