package conformance

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// running is a command that the test talks to.
type running struct {
	input *io.PipeWriter
	out   *buffer
	code  int
	err   error
	done  chan struct{}
}

func (s *suite) begin(t *testing.T, r backends.ExecRequest) *running {
	t.Helper()
	return s.beginWith(t.Context(), t, r)
}

func (s *suite) beginWith(ctx context.Context, t *testing.T, r backends.ExecRequest) *running {
	t.Helper()
	in, out := io.Pipe()
	run := &running{input: out, out: &buffer{}, done: make(chan struct{})}
	r.Stdin, r.Stdout, r.Stderr = in, run.out, run.out
	go func() {
		defer close(run.done)
		run.code, run.err = s.d.Exec(ctx, s.Spec.ID, r)
	}()
	return run
}

// says waits until the command has said text.
func (r *running) says(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(r.out.String(), text) {
			return
		}
	}
	said := r.out.String()
	t.Fatalf("it does not say %q: %q", text, said[max(0, len(said)-200):])
}

func (r *running) types(t *testing.T, keys string) {
	t.Helper()
	if _, err := r.input.Write([]byte(keys)); err != nil {
		t.Fatal(err)
	}
}

func (r *running) wait(t *testing.T) (int, error) {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Fatalf("no end; it said %q", r.out.String())
	}
	return r.code, r.err
}

// runs reports whether a process with that command line lives.
func (s *suite) runs(t *testing.T, line string) bool {
	t.Helper()
	out := &bytes.Buffer{}
	_, err := s.d.Exec(t.Context(), s.Spec.ID, backends.ExecRequest{
		Argv:   []string{"sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"},
		Stdout: out, Stderr: &bytes.Buffer{},
	})
	must(t, "list processes", err)
	return strings.Contains(out.String(), line+" ")
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
