package conformance

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// commands runs what a bottle is for. A driver that runs nothing is only held
// to refusing where there is no bottle.
func commands(t *testing.T, s *suite) {
	_, err := s.exec(t, backends.ExecRequest{Argv: []string{"true"}})
	mustFail(t, "a command without a bottle", err)
	if !s.Runs {
		return
	}
	s.up(t, "")

	t.Run("streams and exit code", func(t *testing.T) {
		out, errOut := &bytes.Buffer{}, &bytes.Buffer{}
		code, err := s.d.Exec(t.Context(), s.Spec.ID, backends.ExecRequest{
			Argv:  []string{"sh", "-c", "cat; echo err >&2; id -u; pwd; exit 42"},
			Stdin: strings.NewReader("in\n"), Stdout: out, Stderr: errOut,
		})
		must(t, "exec", err)
		want := "in\n1000\n/home/node/workspace\n"
		if code != 42 || out.String() != want || errOut.String() != "err\n" {
			t.Errorf("code %d, stdout %q, stderr %q", code, out, errOut)
		}
	})
	t.Run("much data both ways", func(t *testing.T) {
		in := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		out := &bytes.Buffer{}
		code, err := s.d.Exec(t.Context(), s.Spec.ID, backends.ExecRequest{
			Argv: []string{"cat"}, Stdin: bytes.NewReader(in), Stdout: out, Stderr: out,
		})
		must(t, "exec", err)
		if code != 0 || !bytes.Equal(in, out.Bytes()) {
			t.Errorf("code %d, %d of %d bytes came back", code, out.Len(), len(in))
		}
	})
	t.Run("bb in the bottle carries files, both ways", func(t *testing.T) {
		packed, errOut := &bytes.Buffer{}, &bytes.Buffer{}
		sent := s.bb("unpack", "--any", "/tmp")
		sent.Stdin, sent.Stdout, sent.Stderr = archive(t, "carried", "content"), &bytes.Buffer{}, errOut
		code, err := s.d.Exec(t.Context(), s.Spec.ID, sent)
		must(t, "unpack", err)
		got := s.bb("pack", "/tmp/carried")
		got.Stdout, got.Stderr = packed, errOut
		again, err := s.d.Exec(t.Context(), s.Spec.ID, got)
		must(t, "pack", err)
		if code != 0 || again != 0 {
			t.Fatalf("codes %d and %d: %s", code, again, errOut)
		}
		r := tar.NewReader(packed)
		h, err := r.Next()
		must(t, "the archive", err)
		text, err := io.ReadAll(r)
		if must(t, "the archive", err); h.Name != "carried" || string(text) != "content" {
			t.Errorf("%s holds %q", h.Name, text)
		}
	})
	t.Run("a command that does not exist is 127", func(t *testing.T) {
		if code, err := s.exec(t, backends.ExecRequest{Argv: []string{"no-such-command"}}); code != 127 || err != nil {
			t.Errorf("code %d, %v", code, err)
		}
	})
	t.Run("a command that is given up ends", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := s.d.Exec(ctx, s.Spec.ID, backends.ExecRequest{
			Argv: []string{"sh", "-c", "sleep 987 & sleep 987"}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", err)
		}
		out := &bytes.Buffer{}
		_, err = s.d.Exec(t.Context(), s.Spec.ID, backends.ExecRequest{
			Argv:   []string{"sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"},
			Stdout: out, Stderr: &bytes.Buffer{},
		})
		must(t, "list processes", err)
		if strings.Contains(out.String(), "sleep 987 ") {
			t.Errorf("it goes on: %s", out)
		}
	})
}

// bb is a command of bb's own binary in the bottle.
func (s *suite) bb(args ...string) backends.ExecRequest {
	return backends.ExecRequest{Argv: append([]string{spec.BinaryPath, "door"}, args...)}
}

func archive(t *testing.T, name, text string) *bytes.Buffer {
	t.Helper()
	b := &bytes.Buffer{}
	w := tar.NewWriter(b)
	must(t, "archive", w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
	_, err := io.WriteString(w, text)
	must(t, "archive", errors.Join(err, w.Close()))
	return b
}

func (s *suite) exec(t *testing.T, r backends.ExecRequest) (int, error) {
	t.Helper()
	r.Stdout, r.Stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return s.d.Exec(t.Context(), s.Spec.ID, r)
}
