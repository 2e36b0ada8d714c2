package conformance

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// sessions are counted while their commands run, and at no other time.
func sessions(t *testing.T, s *suite) {
	s.sessions(t, "no bottle", 0)
	s.up(t, "create agent")
	s.sessions(t, "an agent that never started", 0)
	s.up(t, "")
	s.sessions(t, "a bottle without commands", 0)
	if s.Runs {
		endFirst, doneFirst := s.cat(t)
		s.sessions(t, "one command", 1)
		endSecond, doneSecond := s.cat(t)
		s.sessions(t, "two commands", 2)
		endFirst()
		<-doneFirst
		s.sessions(t, "one of two ended", 1)
		endSecond()
		<-doneSecond
		s.sessions(t, "all ended", 0)
	}
	if s.Stop != nil {
		s.Stop(t, s.Spec.ID, spec.RoleAgent)
		s.sessions(t, "a stopped agent", 0)
	}
}

// sessions asks until the answer is want: a command begins and ends a moment
// before its engine knows.
func (s *suite) sessions(t *testing.T, what string, want int) {
	t.Helper()
	got := -1
	for begin := time.Now(); got != want && time.Since(begin) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		var err error
		got, err = s.d.Sessions(t.Context(), s.Spec.ID)
		must(t, "sessions of "+what, err)
	}
	if got != want {
		t.Errorf("%s: %d sessions, want %d", what, got, want)
	}
}

// cat runs a command that ends when end is called; done is closed by then.
func (s *suite) cat(t *testing.T) (end func(), done chan struct{}) {
	in, feed := io.Pipe()
	done = make(chan struct{})
	go func() {
		defer close(done)
		if _, err := s.d.Exec(t.Context(), s.Spec.ID, backends.ExecRequest{
			Argv: []string{"cat"}, Stdin: in, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		}); err != nil {
			t.Errorf("cat: %v", err)
		}
	}()
	return func() { _ = feed.Close() }, done
}
