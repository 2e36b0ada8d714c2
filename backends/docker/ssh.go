package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
)

// sshTarget is an engine behind an ssh server: each connection is one run of
// 'docker system dial-stdio' there, which joins its streams to the engine.
type sshTarget struct {
	user, host, port string
	socket           string // the engine's, there; "" means docker's default
	name             string // for people: the address, and who chose it
}

// A name reaches commands of the user's ssh configuration (%r, %h), so that
// nothing may be in it that a shell reads.
var plainUser = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.@+-]*$`)

// args is the command line of ssh. Nobody is there to answer a question, and
// what the user's configuration adds for people is left out: it may print to
// the stream, or clash with a second connection.
func (t sshTarget) args() []string {
	args := []string{
		"-T", "-a", "-x", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15",
		"-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none",
	}
	if t.user != "" {
		args = append(args, "-l", t.user)
	}
	if t.port != "" {
		args = append(args, "-p", t.port)
	}
	args = append(args, "--", t.host, "docker")
	if t.socket != "" {
		args = append(args, "-H", "unix://"+t.socket)
	}
	return append(args, "system", "dial-stdio")
}

// login is what a person types to try the same.
func (t sshTarget) login() string {
	text := "ssh "
	if t.port != "" {
		text += "-p " + t.port + " "
	}
	if t.user != "" {
		text += t.user + "@"
	}
	return text + t.host
}

// sshConn is one end of a pair of sockets; the other is standard input and
// output of ssh, so that half-closing and deadlines are the system's own.
type sshConn struct {
	*net.UnixConn
	target sshTarget
	cmd    *exec.Cmd
	said   said
	ended  chan struct{} // closed when ssh was reaped
	once   sync.Once
}

// start runs ssh. It ends with the connection, and with bb however bb ends.
func (t sshTarget) start() (*sshConn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	c := &sshConn{UnixConn: ours, target: t, cmd: exec.Command("ssh", t.args()...), ended: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirs, theirs, &c.said
	c.cmd.SysProcAttr = ownSession()
	// A master that the user's configuration leaves behind may hold stderr.
	c.cmd.WaitDelay = time.Second
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal of a parent's death is that of a thread's
		defer runtime.UnlockOSThread()
		defer close(c.ended)
		err := c.cmd.Start()
		_ = theirs.Close()
		started <- err
		if err == nil {
			_ = c.cmd.Wait() // what it said tells more than its code
		}
	}()
	if err := <-started; err != nil {
		_ = ours.Close()
		if errors.Is(err, exec.ErrNotFound) {
			return nil, diag.Errorf("docker: there is no ssh command to reach the engine at %s", t.name).
				WithHint("install it with 'apt-get install openssh-client'")
		}
		return nil, err
	}
	return c, nil
}

// Read tells a connection that was lost from one that the engine has closed:
// a stream of output must not seem to be complete when it is not.
func (c *sshConn) Read(b []byte) (int, error) {
	n, err := c.UnixConn.Read(b)
	if errors.Is(err, io.EOF) {
		select { // the end of the stream comes before its own
		case <-c.ended:
			if !c.cmd.ProcessState.Success() {
				err = fmt.Errorf("ssh ended: %w", io.ErrUnexpectedEOF)
			}
		case <-time.After(time.Second):
		}
	}
	return n, err
}

// sshGrace is what ssh gets to end after its connection was closed.
const sshGrace = 2 * time.Second

// Close returns at once. The end of its input ends ssh unless a program on
// the far side is silent and goes on.
func (c *sshConn) Close() error {
	err := c.UnixConn.Close()
	c.once.Do(func() {
		go func() {
			select {
			case <-c.ended:
			case <-time.After(sshGrace):
				_ = c.cmd.Process.Kill() // it may have ended this moment
			}
		}()
	})
	return err
}

// why ends the connection and makes an error of what ssh said last.
func (c *sshConn) why(ctx context.Context, err error) error {
	select { // its words come before its end
	case <-c.ended:
	case <-time.After(time.Second):
	}
	_ = c.Close()
	text := c.said.String()
	if text == "" && ctx.Err() != nil {
		return diag.Errorf("docker: the engine at %s: ssh gets no answer in time", c.target.name).WithHint("try '%s'", c.target.login())
	}
	return c.target.explain(text, err)
}

// explain finds the next step in the words of ssh and of the far side.
func (t sshTarget) explain(text string, err error) error {
	low := strings.ToLower(text)
	last := tidy(lastLines(text, 1))
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(low, w) {
				return true
			}
		}
		return false
	}
	failed := func(why, hint string, args ...any) error {
		return diag.Errorf("docker: the engine at %s: %s", t.name, why).WithHint(hint, args...)
	}
	switch {
	case has("identification has changed"):
		return failed("the host key is not the one that is known", "somebody may be in between; "+
			"when the change is expected, 'ssh-keygen -R %s' forgets the old key", t.host)
	case has("host key verification failed"):
		return failed(last, "its key is not known here: '%s' once by hand, and compare the fingerprint", t.login())
	case has("docker daemon socket", "docker.sock: connect: permission denied"):
		return failed("no permission to use the engine there", "add the user to the group docker on %s", t.host)
	case has("docker: not found", "docker: command not found", "docker: no such file", "unknown command: docker"):
		return failed("there is no docker command on "+t.host, "install docker on %s, or put it into the PATH of ssh sessions", t.host)
	case has("is not a docker command", "dial-stdio' is not", "unknown command: docker system"):
		return failed("the docker command there is too old", "bb needs docker 18.09 or newer on %s", t.host)
	case has("cannot connect to the docker daemon", "unable to upgrade", "dial unix"):
		return failed("no engine answers there: "+last, "start docker on %s", t.host)
	case has("permission denied", "too many authentication failures", "no more authentication methods"):
		return failed(last, "bb answers no prompt: load a key with ssh-add, and try '%s'", t.login())
	case text != "":
		return failed(last, "try '%s'", t.login())
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return failed("the connection went away", "run the same command again: bb finishes what was begun")
	}
	return failed(tidy(err.Error()), "does a login script there print something? try '%s true'", t.login())
}

// said keeps the end of what ssh writes to its standard error.
type said struct {
	mu   sync.Mutex
	text guest.Tail
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Limit = 4 << 10
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return guest.Printable(s.text.String())
}

// socketPair returns our end, and the end that a child gets.
func socketPair() (*net.UnixConn, *os.File, error) {
	syscall.ForkLock.RLock() // no child may inherit them by accident
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ssh"), os.NewFile(uintptr(fds[1]), "ssh")
	defer ours.Close() // FileConn keeps a duplicate
	c, err := net.FileConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return c.(*net.UnixConn), theirs, nil
}
