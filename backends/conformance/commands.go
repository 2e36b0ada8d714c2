package conformance

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
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

func (s *suite) exec(t *testing.T, r backends.ExecRequest) (int, error) {
	t.Helper()
	r.Stdout, r.Stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return s.d.Exec(t.Context(), s.Spec.ID, r)
}
