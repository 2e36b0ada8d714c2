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
	t.Run("exit codes are the command's", func(t *testing.T) {
		for line, want := range map[string]int{
			"exit 0": 0, "exit 3": 3, "exit 255": 255, "kill -TERM $$": 143, "kill -KILL $$": 137,
			"exec /etc/passwd": 126,
		} {
			if code, err := s.exec(t, backends.ExecRequest{Argv: []string{"sh", "-c", line}}); code != want || err != nil {
				t.Errorf("%s: code %d, %v", line, code, err)
			}
		}
	})
	t.Run("input that nobody reads", func(t *testing.T) {
		code, err := s.exec(t, backends.ExecRequest{
			Argv: []string{"sh", "-c", "exec <&-; exit 4"}, Stdin: bytes.NewReader(make([]byte, 8<<20)),
		})
		if code != 4 || err != nil {
			t.Errorf("code %d, %v", code, err)
		}
	})
	t.Run("what is left on purpose stays", func(t *testing.T) {
		begin := time.Now()
		code, err := s.exec(t, backends.ExecRequest{Argv: []string{"sh", "-c", "sleep 986 & exit 0"}})
		if took := time.Since(begin); code != 0 || err != nil || took > 10*time.Second {
			t.Errorf("code %d, %v, after %v", code, err, took)
		}
		if !s.runs(t, "sleep 986") {
			t.Error("it is gone")
		}
	})
	t.Run("a command that is given up ends", s.givenUp)
	t.Run("a session is held once", s.heldOnce)
	t.Run("a terminal", s.terminal)
	t.Run("a terminal that is given up", s.terminalGivenUp)
}

// givenUp holds the end of a context to what the command did meanwhile.
func (s *suite) givenUp(t *testing.T) {
	endless := func() io.Reader { r, _ := io.Pipe(); return r }
	for _, tt := range []struct {
		name, line string
		stdin      io.Reader
	}{
		{"a group", "sleep 987 & sleep 987", nil},
		{"waits for input", "cat; sleep 987", endless()},
		{"reads nothing of much", "sleep 987", zeros{}},
		{"says much", "yes & sleep 987", nil},
		{"ignores the hangup", "trap '' HUP TERM; sleep 987 & while :; do sleep 987; done", nil},
		{"a daemon", "setsid setsid sh -c 'trap \"\" HUP; cd /; sleep 987; sleep 987' </dev/null >/dev/null 2>&1 & sleep 987", nil},
		{"stopped", "sleep 987 & kill -STOP $! $$", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			begin := time.Now()
			_, err := s.d.Exec(ctx, s.Spec.ID, backends.ExecRequest{
				Argv: []string{"sh", "-c", tt.line}, Stdin: tt.stdin, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("given up: %v", err)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if s.runs(t, "sleep 987") {
				t.Error("it goes on")
			}
		})
	}
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// heldOnce: a name is refused while its session lives, and free afterwards.
func (s *suite) heldOnce(t *testing.T) {
	first := s.begin(t, backends.ExecRequest{Argv: []string{"sh", "-c", "echo up; cat"}, Session: "main"})
	first.says(t, "up")
	for range 2 {
		_, err := s.exec(t, backends.ExecRequest{Argv: []string{"true"}, Session: "main"})
		if !errors.Is(err, backends.ErrSessionBusy) {
			t.Errorf("a second session: %v", err)
		}
	}
	for _, name := range []string{"other", ""} {
		if code, err := s.exec(t, backends.ExecRequest{Argv: []string{"true"}, Session: name}); code != 0 || err != nil {
			t.Errorf("session %q: code %d, %v", name, code, err)
		}
	}
	if n, err := s.d.Sessions(t.Context(), s.Spec.ID); n != 1 || err != nil {
		t.Errorf("%d sessions, %v", n, err)
	}
	_ = first.input.Close()
	if code, err := first.wait(t); code != 0 || err != nil {
		t.Errorf("the first: code %d, %v", code, err)
	}
	code, err := s.exec(t, backends.ExecRequest{Argv: []string{"sh", "-c", "exit 75"}, Session: "main"})
	if code != 75 || err != nil {
		t.Errorf("the next: code %d, %v", code, err)
	}
	if _, err := s.exec(t, backends.ExecRequest{Argv: []string{"true"}, Session: "../env"}); err == nil {
		t.Error("a name that leads elsewhere is accepted")
	}
}

func (s *suite) terminal(t *testing.T) {
	sizes := make(chan backends.Size)
	run := s.begin(t, backends.ExecRequest{
		Argv:     []string{"sh", "-c", `tty; stty size; echo $TERM; trap 'stty size; exit 9' WINCH; while :; do sleep 0.1; done`},
		Terminal: &backends.Terminal{Type: "vt100", Size: backends.Size{Rows: 33, Cols: 101}, Resize: sizes},
	})
	run.says(t, "/dev/pts/0\r\n33 101\r\nvt100\r\n")
	sizes <- backends.Size{Rows: 50, Cols: 132}
	if code, err := run.wait(t); code != 9 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	run.says(t, "50 132\r\n")

	terminal := &backends.Terminal{Type: "vt100", Size: backends.Size{Rows: 24, Cols: 80}}
	run = s.begin(t, backends.ExecRequest{Argv: []string{"sh", "-c", "trap 'exit 8' INT; echo up; while :; do sleep 0.1; done"}, Terminal: terminal})
	run.says(t, "up")
	run.types(t, "\x03")
	if code, err := run.wait(t); code != 8 || err != nil {
		t.Errorf("interrupted: code %d, %v", code, err)
	}

	// The tail is not lost, and nothing that holds the terminal holds the end.
	run = s.begin(t, backends.ExecRequest{Argv: []string{"sh", "-c", "sleep 985 & seq 20000; exit 5"}, Terminal: terminal})
	if code, err := run.wait(t); code != 5 || err != nil {
		t.Errorf("much output: code %d, %v", code, err)
	}
	run.says(t, "19999\r\n20000\r\n")

	code, err := s.exec(t, backends.ExecRequest{Argv: []string{"no-such-command"}, Terminal: terminal})
	if code != 127 || err != nil {
		t.Errorf("a command that does not exist: code %d, %v", code, err)
	}
	code, err = s.exec(t, backends.ExecRequest{Argv: []string{"cat"}, Stdin: strings.NewReader("line\n"), Terminal: terminal})
	if code != 0 || err != nil {
		t.Errorf("end of input: code %d, %v", code, err)
	}
}

func (s *suite) terminalGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	run := s.beginWith(ctx, t, backends.ExecRequest{
		Argv:     []string{"bash", "-ic", "sleep 984 & echo up; bash -ic 'sleep 984'"},
		Terminal: &backends.Terminal{Type: "vt100", Size: backends.Size{Rows: 24, Cols: 80}},
		Session:  "main",
	})
	run.says(t, "up")
	cancel()
	if _, err := run.wait(t); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if s.runs(t, "sleep 984") {
		t.Error("it goes on")
	}
	if code, err := s.exec(t, backends.ExecRequest{Argv: []string{"true"}, Session: "main"}); code != 0 || err != nil {
		t.Errorf("the name afterwards: code %d, %v", code, err)
	}
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
