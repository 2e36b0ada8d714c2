package cli

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/bot-bottle/bb/backends/smolvm/hostside"
)

// maxBoundedLog bounds the log of a process that lives long, in bytes; the
// latest half of it is kept.
const maxBoundedLog = 256 << 10

// boundedLog is the file of such a process, one line an event.
type boundedLog struct {
	path string

	mu     sync.Mutex
	f      *os.File
	stderr bool // see takeStderr
}

func openBoundedLog(path string) (*boundedLog, error) {
	f, err := openPrivate(path, os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	return &boundedLog{path: path, f: f}, nil
}

// takeStderr makes the file this process's standard error: what the Go runtime
// says when the process dies, which nobody else would hear.
func (l *boundedLog) takeStderr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stderr = true
	return hostside.Onto(l.f, 2)
}

// note writes a line.
func (l *boundedLog) note(format string, args ...any) {
	_, _ = l.Write([]byte(time.Now().UTC().Format(time.RFC3339) + " " + fmt.Sprintf(format, args...) + "\n"))
}

// Write adds whole lines. A full disk holds up nobody: they are lost.
func (l *boundedLog) Write(lines []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// By its size: others may write to standard error.
	if info, err := l.f.Stat(); err == nil && info.Size()+int64(len(lines)) > maxBoundedLog {
		l.halve(info.Size())
	}
	_, _ = l.f.Write(lines)
	return len(lines), nil
}

// halve keeps the latest half, in another file that takes the name: who reads
// at this moment never finds the log empty.
func (l *boundedLog) halve(size int64) {
	kept := make([]byte, min(size, maxBoundedLog/2))
	n, _ := l.f.ReadAt(kept, size-int64(len(kept)))
	kept = kept[:n]
	kept = kept[bytes.IndexByte(kept, '\n')+1:]
	f, err := openPrivate(l.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND)
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
		return
	}
	_ = l.f.Close()
	l.f = f
	if l.stderr {
		_ = hostside.Onto(f, 2) // the old one is still there, and nobody reads it
	}
}

// Close closes the file.
func (l *boundedLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
