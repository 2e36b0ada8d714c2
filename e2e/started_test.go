package e2e_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
)

// started is a program in a bottle that runs beside the test, and ends with it.
type started struct {
	out    *buffer
	stderr *buffer
	ended  chan struct{}
	err    error // once it has ended
}

func start(t testing.TB, h *home, agent, stdin string, args ...string) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &started{out: &buffer{}, stderr: &buffer{}, ended: make(chan struct{})}
	cmd := h.command(ctx, append([]string{"exec", agent, "--"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), s.out, s.stderr
	if err := h.start(cmd); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() { cancel(); <-s.ended })
	return s
}

// buffer may be read while a program writes to it.
type buffer struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

// bytes is what was written since the last time that it was emptied.
func (b *buffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.out.Bytes())
}

func (b *buffer) String() string { return string(b.bytes()) }

func (b *buffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out.Reset()
}
