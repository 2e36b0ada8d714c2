package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// stopTimeout is how long a stopping sidecar waits for its connections, which
// it has closed, to be let go of.
const stopTimeout = 2 * time.Second

// server runs one listener: a bounded number of connections, each in a
// goroutine whose panic ends that connection only.
type server struct {
	name   string
	limit  int
	wait   bool // at the limit: see run
	handle func(conn *net.UnixConn)
	note   func(format string, args ...any)
}

// run accepts until ctx ends. At the limit a connection is closed at once: the
// one who floods is told so, and nobody waits for what may never come free. With
// wait it is waited for one that ends, which handle sees to.
func (s *server) run(ctx context.Context, ln *net.UnixListener) {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var wg sync.WaitGroup
	slots := make(chan struct{}, s.limit)
	for {
		conn, err := ln.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				break
			}
			// Most often no descriptor is left. Come back, do not spin.
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			if !s.wait {
				_ = conn.Close()
				continue
			}
			slots <- struct{}{}
		}
		wg.Go(func() {
			defer func() { <-slots }()
			s.one(ctx, conn)
		})
	}
	waitAtMost(&wg, stopTimeout)
}

func (s *server) one(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() {
		if p := recover(); p != nil {
			// Where and of what type, never what it says: a panic's text may
			// quote what went through the connection.
			s.note("%s: panic in a connection at %s (%T)", s.name, panicSite(), p)
		}
	}()
	s.handle(conn)
}

// panicSite is the file and line that panicked, seen from a deferred function.
func panicSite() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for past := false; ; {
		frame, more := frames.Next()
		if past && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		}
		past = past || frame.Function == "runtime.gopanic"
		if !more {
			return "unknown"
		}
	}
}

func waitAtMost(wg *sync.WaitGroup, d time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}
