package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// answering is a bottle in which something else than bb answers.
type answering struct {
	backends.Driver
	exec func(ctx context.Context, r backends.ExecRequest) (int, error)
}

func (d answering) Exec(ctx context.Context, _ spec.ID, r backends.ExecRequest) (int, error) {
	return d.exec(ctx, r)
}

func entries(t *testing.T, hs ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Whatever answers a copy out of a bottle: it ends, says what happened, and
// nothing but a whole copy is ever there.
func TestCopyFromHostile(t *testing.T) {
	whole := entries(t, &tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}, &tar.Header{Name: "d/x", Size: 600, Mode: 0o644})
	escapes := entries(t, &tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}, &tar.Header{Name: "d/../../x", Size: 3, Mode: 0o644})
	for name, c := range map[string]struct {
		exec func(ctx context.Context, r backends.ExecRequest) (int, error)
		want string // "" is success
	}{
		"what was asked for": {func(_ context.Context, r backends.ExecRequest) (int, error) {
			_, err := r.Stdout.Write(whole)
			return 0, err
		}, ""},
		"nothing":         {func(context.Context, backends.ExecRequest) (int, error) { return 0, nil }, "ends too early"},
		"nothing, and no": {func(context.Context, backends.ExecRequest) (int, error) { return 3, nil }, "exit code 3"},
		"a half": {func(_ context.Context, r backends.ExecRequest) (int, error) {
			_, err := r.Stdout.Write(whole[:len(whole)-1024])
			return 0, err
		}, "ends too early"},
		"a way out": {func(_ context.Context, r backends.ExecRequest) (int, error) {
			_, err := r.Stdout.Write(escapes)
			return 0, err
		}, "leads out of the tree"},
		"rubbish": {func(_ context.Context, r backends.ExecRequest) (int, error) {
			_, err := io.WriteString(r.Stdout, strings.Repeat("rubbish ", 200))
			return 0, err
		}, "not a sound archive"},
		"no end": {func(_ context.Context, r backends.ExecRequest) (int, error) {
			_, err := r.Stdout.Write(whole)
			for err == nil {
				_, err = r.Stdout.Write(make([]byte, 64<<10))
			}
			return 0, err
		}, "more follows the end"},
		"words without end": {func(_ context.Context, r backends.ExecRequest) (int, error) {
			for range 1000 {
				_, _ = io.WriteString(r.Stderr, strings.Repeat("bb: \x1b[2Jno\n", 100))
			}
			return 1, nil
		}, "no\n"},
		"a driver that fails": {func(context.Context, backends.ExecRequest) (int, error) { return 0, errors.New("engine gone") }, "engine gone"},
	} {
		t.Run(name, func(t *testing.T) {
			around := t.TempDir()
			if err := os.Mkdir(filepath.Join(around, "in"), 0o755); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			j := &copying{
				app: &app{stdout: io.Discard, stderr: &said}, driver: answering{exec: c.exec}, guest: "d", shown: "dev:d",
				progress: newCopied(io.Discard),
			}
			defer j.progress.end()
			done := make(chan error, 1)
			go func() { done <- j.out(t.Context(), filepath.Join(around, "in", "new")) }()
			var err error
			select {
			case err = <-done:
			case <-time.After(20 * time.Second):
				t.Fatal("no end")
			}
			left, _ := filepath.Glob(filepath.Join(around, "*"))
			inside, _ := os.ReadDir(filepath.Join(around, "in"))
			if c.want == "" {
				if err != nil || len(left) != 1 || len(inside) != 1 {
					t.Errorf("%v, %v, %v", err, left, inside)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if len(left) != 1 || len(inside) != 0 {
				t.Errorf("left: %v, %v", left, inside)
			}
			if report(err, &said); strings.ContainsRune(said.String(), '\x1b') {
				t.Errorf("escapes reach the terminal: %q", said.String())
			}
		})
	}
}

// A copy that is given up ends at once, and its reason is the interrupt.
func TestCopyGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := answering{exec: func(ctx context.Context, r backends.ExecRequest) (int, error) {
		cancel()
		<-ctx.Done()
		return 0, ctx.Err()
	}}
	j := &copying{app: &app{stderr: io.Discard}, driver: d, guest: "d", shown: "dev:d", progress: newCopied(io.Discard)}
	defer j.progress.end()
	if err := j.out(ctx, filepath.Join(t.TempDir(), "new")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	// Inwards: the other side sees its input end, and answers for it.
	ctx, cancel = context.WithCancel(t.Context())
	ended := false
	j.driver = answering{exec: func(ctx context.Context, r backends.ExecRequest) (int, error) {
		cancel()
		_, err := io.Copy(io.Discard, r.Stdin)
		ended = err == nil && ctx.Err() == nil
		return 1, nil
	}}
	endless := func(w io.Writer) error {
		for {
			if _, err := w.Write(make([]byte, 1024)); err != nil {
				return err
			}
		}
	}
	if err := j.write(ctx, nil, endless); !errors.Is(err, context.Canceled) || !ended {
		t.Errorf("got %v, ended %v", err, ended)
	}
}
