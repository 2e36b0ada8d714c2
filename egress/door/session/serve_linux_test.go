package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const deadline = 20 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv("SESSION_TEST_DIR"); dir != "" {
		namesDir = dir
		o := Options{Name: os.Getenv("SESSION_TEST_NAME"), Bare: true}
		o.Terminal, _ = ParseTerminal(os.Getenv("SESSION_TEST_TERMINAL"))
		code, err := Serve(o, os.Args[1:])
		if err != nil {
			panic(err)
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// served is a supervisor, which is this binary started again, and the other
// ends of its streams. A test speaks through client, or raw through input.
type served struct {
	t      *testing.T
	cmd    *exec.Cmd
	input  io.WriteCloser
	client *Client
	out    *text
	errs   *text
	done   chan struct{}
	said   error // of the client
}

type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *text) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *text) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func serve(t *testing.T, dir, name, terminal string, argv ...string) *served {
	t.Helper()
	s := &served{t: t, out: &text{}, errs: &text{}, done: make(chan struct{})}
	s.cmd = exec.Command(os.Args[0], argv...)
	s.cmd.Env = append(os.Environ(), "SESSION_TEST_DIR="+dir, "SESSION_TEST_NAME="+name,
		"SESSION_TEST_TERMINAL="+terminal, "GOCOVERDIR="+t.TempDir())
	var err error
	if s.input, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout = s.out
	s.cmd.WaitDelay = time.Second // what is left on purpose may hold it
	errs, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.client = NewClient(s.input, s.errs)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_, s.said = io.Copy(s.client, errs)
		_, _ = io.Copy(io.Discard, errs)
		_ = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
	})
	return s
}

func (s *served) ends(code int) {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(deadline):
		s.t.Fatalf("no end; out %.200q, err %.200q", s.out, s.errs)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("code %d, want %d; client: %v; out %.200q, err %.200q", got, code, s.said, s.out, s.errs)
	}
}

func (s *served) says(text string) {
	s.t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(s.out.String(), text) {
			return
		}
	}
	s.t.Fatalf("it does not say %q but %q", text, s.out)
}

// lives reports whether a process whose id was printed lives.
func lives(t *testing.T, pid string) bool {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil || n < 2 {
		t.Fatalf("process %q", pid)
	}
	return syscall.Kill(n, 0) == nil
}

func TestServe(t *testing.T) {
	for _, tt := range []struct {
		line, stdin string
		code        int
		out, err    string
	}{
		{"cat; echo e >&2; exit 3", "in\n", 3, "in\n", "e\n"},
		{"kill -TERM $$", "", 143, "", ""},
		{"ps -o pid=,sid= -p $$ | awk '{print ($1 == $2)}'", "", 0, "1\n", ""},
		{"trap", "", 0, "", ""}, // no signal is ignored
		{"exec /no/such", "", 127, "", "sh: 1: exec: /no/such: not found\n"},
	} {
		s := serve(t, t.TempDir(), "", "", "sh", "-c", tt.line)
		if err := s.client.Input(strings.NewReader(tt.stdin)); err != nil {
			t.Fatal(err)
		}
		s.ends(tt.code)
		if s.out.String() != tt.out || s.errs.String() != tt.err {
			t.Errorf("%s: out %q, err %q", tt.line, s.out, s.errs)
		}
		if err := s.client.Close(); err != nil {
			t.Errorf("%s: %v", tt.line, err)
		}
	}
	s := serve(t, t.TempDir(), "", "", "no-such-command")
	s.ends(127)
	if s.errs.String() != "bb: no-such-command: command not found\n" {
		t.Errorf("not found: %q", s.errs)
	}
	s = serve(t, t.TempDir(), "", "vt100:24x80", "no-such-command")
	s.ends(127)
	if s.out.String() != "bb: no-such-command: command not found\r\n" {
		t.Errorf("not found on a terminal: %q", s.out)
	}
}

// TestHangup: an input that ends, or that is not in the form, ends all that
// the command started, and nothing that it left before.
func TestHangup(t *testing.T) {
	tooMuch := bytes.Repeat(appendFrame(nil, frameData, make([]byte, maxPayload)), Window/maxPayload+4)
	for name, last := range map[string][]byte{
		"end of the stream":    nil,
		"half a frame":         []byte("d\x00\x00"),
		"not a frame":          []byte("bb: no frame"),
		"more than the window": tooMuch,
		"input after its end":  []byte("e\x00\x00\x00\x00d\x00\x00\x00\x01x"),
	} {
		for _, terminal := range []string{"", "vt100:24x80"} {
			t.Run(name+terminal, func(t *testing.T) {
				const line = "setsid sh -c 'trap \"\" HUP; sleep 60 & echo $$ $!; wait' & trap '' HUP; sleep 60 & echo $$ $!; echo up; wait"
				s := serve(t, t.TempDir(), "", terminal, "sh", "-c", line)
				s.says("up")
				for strings.Count(s.out.String(), "\n") < 3 {
					time.Sleep(5 * time.Millisecond)
				}
				pids := strings.Fields(strings.ReplaceAll(s.out.String(), "up", ""))
				_, _ = s.input.Write(last)
				if name == "end of the stream" || name == "half a frame" {
					_ = s.input.Close()
				}
				s.ends(codeHangup)
				for _, pid := range pids {
					if lives(t, pid) {
						t.Errorf("process %s goes on", pid)
					}
				}
			})
		}
	}
}

// TestLeftOnPurpose: a command's end is not a hangup.
func TestLeftOnPurpose(t *testing.T) {
	s := serve(t, t.TempDir(), "", "", "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!")
	s.ends(0)
	pid := s.out.String()
	if !lives(t, pid) {
		t.Error("it is gone")
	}
	n, _ := strconv.Atoi(strings.TrimSpace(pid))
	_ = syscall.Kill(n, syscall.SIGKILL)
}

// TestSignals: what ends a supervisor is its command or its client.
func TestSignals(t *testing.T) {
	s := serve(t, t.TempDir(), "", "", "sh", "-c", "echo up; cat; exit 5")
	s.says("up")
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE} {
		_ = s.cmd.Process.Signal(sig)
	}
	if err := s.client.Input(strings.NewReader("still")); err != nil {
		t.Fatal(err)
	}
	s.ends(5)
	if s.out.String() != "up\nstill" {
		t.Errorf("said %q", s.out)
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, dir, "main", "", "sh", "-c", "echo up; cat")
	first.says("up")
	second := serve(t, dir, "main", "", "echo", "ran")
	second.ends(codeBusy)
	if err := second.client.Close(); !errors.Is(err, ErrBusy) || second.out.String() != "" {
		t.Errorf("the second: %v, said %q", err, second.out)
	}
	_ = first.input.Close()
	first.ends(codeHangup)
	third := serve(t, dir, "main", "", "sh", "-c", "exit 75")
	third.ends(75)
	if err := third.client.Close(); err != nil {
		t.Errorf("the third: %v", err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "session-link")); err != nil {
		t.Fatal(err)
	}
	link := serve(t, dir, "link", "", "echo", "ran")
	link.ends(codeCannotRun)
	if link.out.String() != "" || !strings.Contains(link.errs.String(), "too many levels of symbolic links") {
		t.Errorf("a link as a name: out %q, err %q", link.out, link.errs)
	}
}

// TestWindow: a client that is not told that its input was taken waits, and
// one that is sends it all.
func TestWindow(t *testing.T) {
	s := serve(t, t.TempDir(), "", "", "sh", "-c", "echo up; read x; wc -c")
	s.says("up")
	sent := make(chan error, 1)
	go func() {
		sent <- s.client.Input(io.MultiReader(strings.NewReader("x\n"), bytes.NewReader(make([]byte, 5*Window))))
	}()
	s.ends(0)
	if err := <-sent; err != nil || s.out.String() != fmt.Sprintf("up\n%d\n", 5*Window) {
		t.Errorf("%v, said %q", err, s.out)
	}

	silent := NewClient(io.Discard, io.Discard)
	go func() { sent <- silent.Input(bytes.NewReader(make([]byte, 5*Window))) }()
	select {
	case err := <-sent:
		t.Fatalf("sent all to nobody: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := silent.Close(); !errors.Is(err, ErrNotStarted) {
		t.Errorf("closed: %v", err)
	}
	if err := <-sent; !errors.Is(err, errClosed) {
		t.Errorf("waiting when it was closed: %v", err)
	}
}

// TestTail: what a command wrote before its end arrives, also where others
// hold the terminal or never stop writing to it.
func TestTail(t *testing.T) {
	for _, terminal := range []string{"", "vt100:24x80"} {
		for _, beside := range []string{":;", "sleep 60 &", "yes >&2 &"} {
			s := serve(t, t.TempDir(), "", terminal, "sh", "-c", beside+" seq 20000 >&2; exit 6")
			s.ends(6)
			if all := s.out.String() + s.errs.String(); !strings.Contains(all, "\n20000") {
				t.Errorf("%s on %q: the tail is lost: %q", beside, terminal, all[max(0, len(all)-100):])
			}
		}
	}
}
