package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// screen is a bb in the foreground of a real terminal.
type screen struct {
	t            testing.TB
	cmd          *exec.Cmd
	master, line *os.File
	before       *term.State
	done         chan struct{}

	mu   sync.Mutex
	said bytes.Buffer
}

// everything compares states of a terminal, whose fields are hidden.
var everything = cmp.Exporter(func(reflect.Type) bool { return true })

// onTerminal starts bb as a shell would: leader of a session, with a terminal.
func (h *home) onTerminal(args ...string) *screen {
	h.t.Helper()
	master, line, err := pty.Open()
	if err != nil {
		h.t.Fatal(err)
	}
	s := &screen{t: h.t, master: master, line: line, done: make(chan struct{})}
	s.resize(40, 100)
	if s.before, err = term.GetState(int(line.Fd())); err != nil {
		h.t.Fatal(err)
	}
	s.cmd = h.command(context.Background(), args...)
	s.cmd.Env = append(s.cmd.Env, "TERM=vt100")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = line, line, line
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := h.start(s.cmd); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		buffer := make([]byte, 32<<10)
		for {
			n, err := master.Read(buffer)
			s.mu.Lock()
			s.said.Write(buffer[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		s.cmd.Wait() //nolint:errcheck // ProcessState tells
		close(s.done)
	}()
	h.t.Cleanup(func() {
		s.cmd.Process.Kill() //nolint:errcheck // it has ended, or does now
		<-s.done
		_ = line.Close()
		_ = master.Close()
	})
	return s
}

func (s *screen) resize(rows, cols uint16) {
	s.t.Helper()
	if err := pty.Setsize(s.master, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

func (s *screen) says(text string) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if strings.Contains(s.text(), text) {
			return
		}
	}
	s.t.Fatalf("the terminal does not show %q but %q", text, s.text())
}

// types sends keys, and waits until the answer is shown that only the program
// can have given.
func (s *screen) types(keys, answer string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
	s.says(answer)
}

// ends waits for bb's exit code, and holds it to giving the terminal back.
func (s *screen) ends(code int) {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("bb does not end; the terminal shows %q", s.text())
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d; the terminal shows %q", got, code, s.text())
	}
	after, err := term.GetState(int(s.line.Fd()))
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(s.before, after, everything); diff != "" {
		s.t.Errorf("the terminal's settings changed (-before +after):\n%s", diff)
	}
}

// runsIn reports whether the bottle has a process with text in its command line,
// by what the engine sees.
func runsIn(t *testing.T, container, text string) bool {
	t.Helper()
	return strings.Contains(docker(t, "top", container, "-eo", "pid,stat,args"), text)
}

// idle waits until nothing runs in a bottle but its first process, and the
// engine knows of no exec.
func idle(t *testing.T, container string) {
	t.Helper()
	var execs, ps string
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		execs = docker(t, "inspect", "--format", "{{len .ExecIDs}}", container)
		ps = docker(t, "top", container, "-eo", "pid,stat,args")
		if execs == "0" && strings.Count(ps, "\n") == 1 {
			return
		}
	}
	t.Errorf("%s execs, and these processes:\n%s", execs, ps)
}

func TestAttach(t *testing.T) {
	h, agents := shellHome(t)
	one := agents[0]
	if r := h.fails("attach", one); !strings.Contains(r.stderr, "needs a terminal") {
		t.Error(r)
	}
	before := h.onTerminal("attach", one)
	before.ends(1)
	before.says("does not run (bb apply " + one + " brings it up")
	h.must("apply", "-y")
	bottle := containerOf(t, one, false)
	attaches(t, h, one, inside{
		func(text string) bool { return runsIn(t, bottle, text) },
		func() { idle(t, bottle) },
	})
}

// inside is what an engine, or this machine, sees of the processes in a bottle.
type inside struct {
	runs func(text string) bool
	idle func() // fails unless it comes to rest
}

// attaches works in a bottle in the foreground: its terminal has the size that
// this one has, now and later, Ctrl-C reaches the program, codes come back, and
// nothing goes on when it is left.
func attaches(t *testing.T, h *home, one string, in inside) {
	t.Helper()
	s := h.onTerminal("attach", one)
	s.types("echo T=$TERM S=$(stty size) $(tty)\r", "T=vt100 S=40 100 /dev/pts/0\r\n")
	if raw, err := term.GetState(int(s.line.Fd())); err != nil || cmp.Equal(s.before, raw, everything) {
		t.Errorf("the terminal is not raw: %v", err)
	}
	s.resize(50, 120)
	eventually(t, "the bottle sees the new size", func() bool {
		s.types("stty size\r", "stty size")
		return strings.Contains(s.text(), "50 120\r\n")
	})
	s.types("sleep 4711\r", "sleep 4711")
	eventually(t, "the program runs", func() bool { return in.runs("sleep 4711") })
	s.types("\x03", "^C")
	s.types("echo code=$? still=$((40+2))\r", "code=130 still=42\r\n")
	if in.runs("sleep 4711") {
		t.Error("Ctrl-C did not reach the program")
	}

	second := h.onTerminal("attach", one)
	second.ends(1)
	second.says("bb: " + one + " is attached already (bb attach --new " + one + " starts a second session)")
	beside := h.onTerminal("attach", "--new", "--resume", one)
	beside.types("echo $((6*7)) $(tty); exit 3\r", "42 /dev/pts/1\r\n")
	beside.ends(3)
	other := h.onTerminal("exec", "-t", one, "--", "sh", "-c", "tty; stty size; read x; stty size; exit 4")
	other.says("/dev/pts/1\r\n40 100\r\n")
	other.resize(30, 90)
	time.Sleep(300 * time.Millisecond) // the size goes another way than keys
	other.types("\r", "30 90\r\n")
	other.ends(4)

	s.types("seq 30000; exit 7\r", "30000\r\n")
	s.ends(7)
	in.idle()
	again := h.onTerminal("attach", one)
	again.types("echo $((7*6))\r", "42\r\n")
	again.types("\x04", "logout")
	again.ends(0)

	// Terminated, it gives the terminal back; killed, nothing goes on either.
	ended := h.onTerminal("attach", one)
	ended.types("sleep 4711\r", "sleep 4711")
	eventually(t, "the program runs", func() bool { return in.runs("sleep 4711") })
	ended.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // asserted below
	ended.ends(130)
	in.idle()
	killed := h.onTerminal("attach", one)
	killed.types("sleep 4711\r", "sleep 4711")
	eventually(t, "the program runs", func() bool { return in.runs("sleep 4711") })
	killed.cmd.Process.Kill() //nolint:errcheck // asserted below
	<-killed.done
	in.idle()
}

// TestStart: a bottle of its own beside the declared one, gone when its program
// ended well, kept and named when not; a plan does not see it.
func TestStart(t *testing.T) {
	h, agents := shellHome(t)
	one := agents[0]
	h.must("apply", "-y", one)
	before := h.must("plan", one).stdout

	s := h.onTerminal("start", one)
	s.says("Start it? [y/N] ")
	s.types("y\r", "$ ")
	s.types("echo here=$((40+2))\r", "here=42\r\n")
	h.must("ps").says(t, one+"_x")
	if got := h.must("plan", one).stdout; got != before {
		t.Errorf("a plan sees it:\n%s", got)
	}
	s.types("exit\r", "logout")
	s.ends(0)
	if out := h.must("ps").stdout; strings.Contains(out, one+"_x") || !strings.Contains(out, one) {
		t.Errorf("after a good end:\n%s", out)
	}

	s = h.onTerminal("start", "-y", one)
	s.types("exit 3\r", " is kept (its program ended with 3): bb attach ")
	s.ends(3)
	_, rest, _ := strings.Cut(s.text(), one+"_x")
	id := one + "_x" + rest[:4]
	kept := h.onTerminal("attach", id)
	kept.types("echo again=$((40+2)); exit\r", "again=42\r\n")
	kept.ends(0)
	h.must("destroy", "-y", id)
	if out := h.must("ps").stdout; strings.Contains(out, one+"_x") {
		t.Errorf("after its removal:\n%s", out)
	}

	s = h.onTerminal("start", one)
	s.says("Start it? [y/N] ")
	s.types("n\r", "nothing was done")
	s.ends(1)
	h.fails("start", one).says(t, "start needs a terminal")
}

// TestAttachEnds: whatever ends a session, the terminal is given back and
// nothing goes on in the bottle.
func TestAttachEnds(t *testing.T) {
	h, agents := shellHome(t)
	h.must("apply", "-y", agents[0])
	bottle := containerOf(t, agents[0], false)
	for _, tt := range []struct {
		name string
		code int
		end  func(s *screen)
	}{
		{"terminated", 130, func(s *screen) { s.cmd.Process.Signal(syscall.SIGTERM) }}, //nolint:errcheck // asserted below
		{"hung up", 130, func(s *screen) { s.cmd.Process.Signal(syscall.SIGHUP) }},     //nolint:errcheck // asserted below
		{"quit", 130, func(s *screen) { s.cmd.Process.Signal(syscall.SIGQUIT) }},       //nolint:errcheck // asserted below
		{"the supervisor is killed", 137, func(*screen) { docker(t, "exec", bottle, "pkill", "-KILL", "-f", "door session") }},
		{"the bottle is killed", 137, func(*screen) { docker(t, "kill", bottle) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := h.onTerminal("attach", agents[0])
			s.t = t
			s.types("stty -echo; echo ready-$((1+1))\r", "ready-2")
			tt.end(s)
			s.ends(tt.code)
			if docker(t, "inspect", "--format", "{{.State.Running}}", bottle) == "true" {
				idle(t, bottle)
			}
		})
	}
}

// TestKilledClient kills bb itself: no program is left, whatever it does
// against it, no exec, no zombie, and the name of the session is free.
func TestKilledClient(t *testing.T) {
	h, agents := shellHome(t)
	h.must("apply", "-y", agents[0])
	bottle := containerOf(t, agents[0], false)
	const ignores = "trap '' HUP TERM INT; sleep 4711 & while :; do sleep 4711; done"
	const daemon = "setsid setsid sh -c 'trap \"\" HUP; cd /; sleep 4711; :' </dev/null >/dev/null 2>&1 & sleep 4711"
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zero.Close()
	for _, line := range []string{"sleep 4711", ignores, daemon} {
		s := h.onTerminal("attach", agents[0])
		s.types("exec sh -c '"+strings.ReplaceAll(line, "'", `'\''`)+"'\r", "")
		eventually(t, "the program runs", func() bool { return runsIn(t, bottle, " sleep 4711") })
		s.cmd.Process.Kill() //nolint:errcheck // asserted below
		<-s.done
		idle(t, bottle)
		s = h.onTerminal("attach", agents[0])
		s.types("echo $((40+2)); exit\r", "42\r\n")
		s.ends(0)

		for _, stdin := range []*os.File{nil, zero} {
			cmd := h.command(context.Background(), "exec", agents[0], "--", "sh", "-c", line)
			if stdin != nil {
				cmd.Stdin = stdin
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the command runs", func() bool { return runsIn(t, bottle, " sleep 4711") })
			cmd.Process.Kill() //nolint:errcheck // asserted below
			cmd.Wait()         //nolint:errcheck // it was killed
			idle(t, bottle)
		}
	}
}

// TestAttachWithoutEngine kills the engine below a session: bb says so, and
// gives the terminal back.
func TestAttachWithoutEngine(t *testing.T) {
	h, agents := shellHome(t)
	e := moveToOwnEngine(t, h, agents[0])
	h.must("apply", "-y", agents[0])
	s := h.onTerminal("attach", agents[0])
	s.types("echo $((40+2))\r", "42\r\n")
	e.kill()
	s.ends(1)
	s.says("the docker engine at " + e.host + " (DOCKER_HOST) went away")
	e.start()
	h.must("destroy", "-y")
}

// TestAnswersAreDropped: a program that asks the terminal something and ends
// does not get the answer typed into the shell that comes after it.
func TestAnswersAreDropped(t *testing.T) {
	h, agents := shellHome(t)
	h.must("apply", "-y", agents[0])
	s := h.onTerminal("exec", "-t", agents[0], "--", "printf", `\033[?1003h\033[6n`)
	s.says("\x1b[?1003l") // the program has ended
	if _, err := s.master.WriteString("\x1b[1;1Rid\r"); err != nil {
		t.Fatal(err)
	}
	s.ends(0)
	var readable unix.FdSet
	readable.Set(int(s.line.Fd()))
	if n, err := unix.Select(int(s.line.Fd())+1, &readable, nil, nil, &unix.Timeval{}); err != nil || n != 0 {
		t.Errorf("keys wait for the next program (%d, %v)", n, err)
	}
}
