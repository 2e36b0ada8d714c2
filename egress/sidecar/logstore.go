package sidecar

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Bounds of a log: at most two files of maxLogFile (maxGitFile), and where the
// disk fails maxLogMemory of the latest lines.
const (
	maxLogFile   = 4 << 20
	maxGitFile   = 1 << 20
	maxLogMemory = 512 << 10
	// diskRetry is how long a failed disk is left alone.
	diskRetry = 10 * time.Second
)

// segment is a part of the log: whole lines, in a file or in memory.
type segment struct {
	base int64 // position of its first byte
	size int64
	file logFile // nil: in memory
	data []byte
}

// logFile is what a segment needs of a file.
type logFile interface {
	io.ReaderAt
	io.WriterAt
	Close() error
}

// logDisk is the directory that segments lie in.
type logDisk interface {
	// open returns what an earlier sidecar left: two files at most, oldest
	// first, none empty, without gaps and without a last line that was torn.
	open() ([]*segment, error)
	create(base int64) (logFile, error)
	remove(base int64) error
}

// store is one log. One goroutine appends, many read. Positions grow
// without end; what is too old to keep is gone, oldest first.
type store struct {
	disk   logDisk
	limit  int64 // of one file
	report func(error)
	now    func() time.Time

	mu       sync.Mutex
	segments []*segment // in order, without gaps; the last is appended to
	retry    time.Time  // when a failed disk is tried again
	reported bool
	grown    chan struct{}
}

// openStore continues the log on disk. A disk that fails is reported once, and
// lines stay in memory until it is back.
func openStore(disk logDisk, limit int64, report func(error)) *store {
	s := &store{disk: disk, limit: limit, report: report, now: time.Now, grown: make(chan struct{})}
	segments, err := disk.open()
	if err != nil {
		s.fails(err)
		return s
	}
	s.segments = segments
	return s
}

// append adds whole lines. It never fails: where the disk does, memory serves.
func (s *store) append(lines []byte) {
	if len(lines) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.toDisk(lines) {
		s.toMemory(lines)
	}
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *store) last() *segment {
	if len(s.segments) == 0 {
		return nil
	}
	return s.segments[len(s.segments)-1]
}

func (s *store) toDisk(lines []byte) bool {
	last := s.last()
	if last != nil && last.file != nil && last.size+int64(len(lines)) <= s.limit {
		if _, err := last.file.WriteAt(lines, last.size); err != nil {
			// What was written of them lies beyond size, where nobody reads.
			s.fails(err)
			return false
		}
		last.size += int64(len(lines))
		return true
	}
	if s.now().Before(s.retry) {
		return false
	}
	// A new file, which takes over what waits in memory.
	next := &segment{base: s.end()}
	waiting := []byte(nil)
	if last != nil && last.file == nil {
		next.base, waiting = last.base, last.data
	}
	if err := s.makeRoom(); err != nil {
		s.fails(err)
		return false
	}
	file, err := s.disk.create(next.base)
	if err != nil {
		s.fails(err)
		return false
	}
	all := append(waiting[:len(waiting):len(waiting)], lines...)
	if _, err := file.WriteAt(all, 0); err != nil {
		_ = file.Close()
		_ = s.disk.remove(next.base)
		s.fails(err)
		return false
	}
	next.file, next.size = file, int64(len(all))
	if waiting != nil {
		s.segments = s.segments[:len(s.segments)-1]
	}
	s.segments = append(s.segments, next)
	return true
}

// makeRoom leaves one file at most.
func (s *store) makeRoom() error {
	files := 0
	for _, x := range s.segments {
		if x.file != nil {
			files++
		}
	}
	for ; files > 1; files-- {
		if err := s.disk.remove(s.segments[0].base); err != nil {
			return err
		}
		_ = s.segments[0].file.Close()
		s.segments = s.segments[1:]
	}
	return nil
}

func (s *store) toMemory(lines []byte) {
	last := s.last()
	if last == nil || last.file != nil {
		last = &segment{base: s.end()}
		s.segments = append(s.segments, last)
	}
	if keep := int64(maxLogMemory / 2); int64(len(last.data)+len(lines)) > maxLogMemory {
		// What goes is gone, and with it all that is older: positions have no
		// gap within the log.
		cut := max(0, last.size-keep)
		for cut < last.size && cut > 0 && last.data[cut-1] != '\n' {
			cut++
		}
		last.data = append([]byte(nil), last.data[cut:]...)
		last.base, last.size = last.base+cut, last.size-cut
		s.forget(last)
	}
	last.data = append(last.data, lines...)
	last.size = int64(len(last.data))
}

// forget lets go of all segments before one. A file that cannot be removed is
// found by the next sidecar.
func (s *store) forget(from *segment) {
	for len(s.segments) > 0 && s.segments[0] != from {
		_ = s.disk.remove(s.segments[0].base)
		_ = s.segments[0].file.Close()
		s.segments = s.segments[1:]
	}
}

func (s *store) fails(err error) {
	s.retry = s.now().Add(diskRetry)
	if !s.reported {
		s.reported = true
		s.report(err)
	}
}

func (s *store) end() int64 {
	if last := s.last(); last != nil {
		return last.base + last.size
	}
	return 0
}

// span is the part of the log from a position on: a position that is gone, or
// is of another log, means the oldest.
func (s *store) span(since int64) (at, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end = s.end()
	first := end
	if len(s.segments) > 0 {
		first = s.segments[0].base
	}
	if since < first || since > end {
		return first, end
	}
	return since, end
}

// errGone says that a position is not kept any more.
var errGone = errors.New("this part of the log is gone")

// read fills p from a position on, or returns a channel that closes when there
// is more.
func (s *store) read(p []byte, at int64) (int, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at == s.end() {
		return 0, s.grown, nil
	}
	for _, x := range s.segments {
		if at < x.base {
			break
		}
		left := x.base + x.size - at
		if left <= 0 {
			continue
		}
		p = p[:min(int64(len(p)), left)]
		if x.file == nil {
			return copy(p, x.data[at-x.base:]), nil, nil
		}
		n, err := x.file.ReadAt(p, at-x.base)
		if n > 0 {
			err = nil
		}
		return n, nil, err
	}
	return 0, nil, errGone
}

func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.segments {
		if x.file != nil {
			_ = x.file.Close()
		}
	}
	s.segments = nil
}
