package session

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/egress/door"
)

const (
	// grace is what a program gets to end after the hangup.
	grace = 2 * time.Second
	// killing bounds the end of all that it started.
	killing = 30 * time.Second

	codeCannotRun = 126
	codeBusy      = 75 // EX_TEMPFAIL; the frame decides, not the code
	codeHangup    = 128 + int(syscall.SIGHUP)
)

// supervisor is one session on the side of the bottle.
type supervisor struct {
	frames sync.Mutex // one frame at a time to standard error

	pid    int
	stdin  *os.File // of the command; the terminal's master where it has one
	master *os.File
	input  input
	pumps  sync.WaitGroup // what still copies output

	ended  chan syscall.WaitStatus // of the command
	over   chan struct{}           // closed then
	gone   chan struct{}           // closed when nothing that it started lives
	hangup func()                  // the client is gone
	hungUp chan struct{}
}

// Serve runs argv until it ends or the client is gone, and returns the exit
// code. Standard input and error carry frames: nothing else may use them.
func Serve(o Options, argv []string) (int, error) {
	conceal()
	if err := isolate(); err != nil {
		return codeCannotRun, err
	}
	reserveThreads()
	s := &supervisor{
		ended: make(chan syscall.WaitStatus, 1), over: make(chan struct{}),
		gone: make(chan struct{}), hungUp: make(chan struct{}),
	}
	s.hangup = sync.OnceFunc(func() { close(s.hungUp) })
	s.input.moved.L = &s.input.mu
	name, err := hold(o.Name)
	if errors.Is(err, ErrBusy) {
		return codeBusy, s.say(frameBusy, nil)
	}
	defer name.Close() // nil where there is none
	if err := s.say(frameStarted, nil); err != nil {
		return codeCannotRun, err
	}
	if err == nil {
		err = bound(o.Processes)
	}
	if err == nil {
		err = s.start(o, argv)
	}
	if err != nil {
		return s.refuse(err, o.Terminal != nil), nil
	}
	go s.reap()
	go s.listen()
	go s.feed()
	return s.attend(), nil
}

// attend waits for the end.
func (s *supervisor) attend() int {
	select {
	case status := <-s.ended:
		close(s.over)
		drained := make(chan struct{})
		go func() {
			s.pumps.Wait()
			close(drained)
		}()
		select {
		case <-drained:
		case <-s.hungUp: // nobody reads the rest
		}
		if status.Signaled() {
			return 128 + int(status.Signal())
		}
		return status.ExitStatus()
	case <-s.hungUp:
		s.end()
		return codeHangup
	}
}

// conceal closes the process to others of its user: the agent shall not write
// into its streams or read the terminal's. It may still stop or kill it. The
// signals that end a process are caught, and so default again in the command:
// what ends a supervisor is its command or its client.
func conceal() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT,
		syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTSTP)
}

// isolate leaves the group of what started this process: who kills that one
// does not kill the only process that can end what the command starts. And no
// program below gains a power that the agent does not have.
func isolate() error {
	_, _ = syscall.Setsid() // it leads a group already: then it is alone in it
	runtime.LockOSThread()  // this goroutine starts the command, which inherits from the thread
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	return nil
}

// bound limits how many processes the agent's user has. This process has all its
// threads; what it starts inherits the limit, and only root could raise it, which
// nothing below here ever is.
func bound(processes uint64) error {
	if processes == 0 {
		return nil
	}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: processes, Max: processes}); err != nil {
		return fmt.Errorf("limit of processes: %w", err)
	}
	return nil
}

// threads is more than a supervisor ever uses at once.
const threads = 16

// reserveThreads makes the threads now: a process that cannot make one when it
// needs it dies, and just then it would have to end what took the last.
func reserveThreads() {
	var all sync.WaitGroup
	all.Add(threads)
	for range threads {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread() // idle threads stay
			all.Done()
			all.Wait()
		}()
	}
	all.Wait()
}

// say sends one frame to the client.
func (s *supervisor) say(kind byte, payload []byte) error {
	s.frames.Lock()
	defer s.frames.Unlock()
	_, err := os.Stderr.Write(appendFrame(nil, kind, payload))
	if err != nil {
		s.hangup()
	}
	return err
}

// refuse tells why there is no command, as a shell would.
func (s *supervisor) refuse(err error, terminal bool) int {
	text, code := "bb: "+err.Error()+"\n", codeCannotRun
	var e *door.ExecError
	if errors.As(err, &e) {
		code = e.Code
	}
	if terminal {
		fmt.Print(strings.ReplaceAll(text, "\n", "\r\n"))
		return code
	}
	_ = s.say(frameError, []byte(text))
	return code
}

// reap collects every child: what the command leaves is handed to this
// process. No child any more means that nothing of it lives.
func (s *supervisor) reap() {
	defer close(s.gone)
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return
		case pid == s.pid:
			s.ended <- status
		}
	}
}
