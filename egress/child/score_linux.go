package child

import (
	"fmt"
	"os"
	"strconv"
	"sync"
)

// expendable makes the system end a process, and what it starts, rather than
// the one that serves everybody when memory is short: see proc_pid_oom_score_adj(5).
// What was sent can make git need much.
const expendable = "1000"

// own is this process's score, where it may not write those of others.
var own struct {
	sync.Mutex
	file  *os.File
	score []byte
}

// Score is for a process that can open nothing in /proc any more: children get
// their score from it. It takes the process's own oom_score_adj, which was opened
// for reading and writing while it could be.
func Score(f *os.File) error {
	score := make([]byte, 16)
	n, err := f.ReadAt(score, 0)
	if n == 0 {
		return fmt.Errorf("score of this process: %w", err)
	}
	own.Lock()
	defer own.Unlock()
	own.file, own.score = f, score[:n]
	return nil
}

// expendably starts a child, which has the score that its parent has at that
// moment. It is a moment: the parent is as it was before the child does anything.
func expendably(start func() error) error {
	own.Lock()
	defer own.Unlock()
	if own.file == nil {
		return start()
	}
	_, _ = own.file.WriteAt([]byte(expendable), 0) // nothing is lost but the order
	defer own.file.WriteAt(own.score, 0)           //nolint:errcheck // it had that score
	return start()
}

// expend is for all other processes: it marks a child that was just started.
func expend(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(expendable), 0) // as above
}
