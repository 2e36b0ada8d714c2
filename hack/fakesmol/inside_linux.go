package fakesmol

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// setnsCall is SYS_SETNS, which package syscall lacks.
var setnsCall = map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]

// inBox runs do on a thread that is inside the box; children that it starts are
// inside too. The thread ends with it.
func inBox(b *box, do func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		result <- errors.Join(join(b.pid), do())
	}()
	return <-result
}

func join(pid int) error {
	if err := syscall.Unshare(syscall.CLONE_FS); err != nil {
		return err
	}
	var files []*os.File
	for _, kind := range []string{"net", "uts", "ipc", "pid", "mnt"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			return err
		}
		defer f.Close()
		files = append(files, f)
	}
	for _, f := range files {
		if _, _, errno := syscall.RawSyscall(setnsCall, f.Fd(), 0, 0); errno != 0 {
			return fmt.Errorf("setns %s: %w", filepath.Base(f.Name()), errno)
		}
	}
	return nil
}

// exec runs a command in the box. When the other side goes, the command does.
func (v *vmm) exec(b *box, q request, files []*os.File, in io.Reader) (reply, error) {
	q.Argv = ownKernel(q.Argv, b, v.room)
	var cmd *exec.Cmd
	err := inBox(b, func() (err error) {
		cmd, err = v.begin(q, files)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // may be gone
	if q.Detach {
		go func() { _ = cmd.Wait() }()
		return reply{PID: cmd.Process.Pid}, nil
	}
	over := make(chan struct{})
	var timedOut bool
	var watch sync.WaitGroup
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in) // nothing comes but the end
		close(gone)
	}()
	watch.Go(func() {
		var limit <-chan time.Time
		if q.Timeout > 0 {
			limit = time.After(q.Timeout)
		}
		select {
		case <-gone:
			kill()
		case <-limit:
			timedOut = true
			kill()
		case <-over:
		}
	})
	err = cmd.Wait()
	close(over)
	watch.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return reply{}, err
	}
	s, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	code := s.ExitStatus()
	if s.Signaled() {
		code = 128 + int(s.Signal())
	}
	return reply{Code: code, TimedOut: timedOut}, nil
}

// begin runs inside the box.
func (v *vmm) begin(q request, files []*os.File) (*exec.Cmd, error) {
	who, err := lookUp(v.r.Config.User)
	if err != nil {
		return nil, err
	}
	env := withHome(v.environment(q.Env), who)
	path, err := find(q.Argv[0], env)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: path, Args: q.Argv, Env: env, Dir: v.workdir(q.Dir),
		Stdin: files[0], Stdout: files[1], Stderr: files[2],
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)}},
	}
	lessPower()
	return cmd, cmd.Start()
}

func (v *vmm) environment(more []string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return append(append(append(env, v.r.Config.Env...), v.r.Env...), more...)
}

func (v *vmm) workdir(asked string) string {
	for _, d := range []string{asked, v.r.Workdir, v.r.Config.WorkingDir} {
		if d != "" {
			return d
		}
	}
	return "/"
}

type person struct {
	uid, gid int
	home     string
}

// lookUp resolves an image's USER by the machine's own files: NAME or UID[:GID].
func lookUp(user string) (person, error) {
	name, group, _ := strings.Cut(user, ":")
	if name == "" {
		name = "0"
	}
	p := person{home: "/"}
	uid, err := strconv.Atoi(name)
	numeric := err == nil
	p.uid = uid
	f, err := os.Open("/etc/passwd")
	if err != nil && !numeric {
		return p, err
	}
	defer f.Close()
	found := false
	for lines := bufio.NewScanner(f); !found && lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 7 || fields[0] != name && fields[2] != name {
			continue
		}
		p.uid, _ = strconv.Atoi(fields[2])
		p.gid, _ = strconv.Atoi(fields[3])
		p.home, found = fields[5], true
	}
	if !found && !numeric {
		return p, fmt.Errorf("no user %q in the image", name)
	}
	if gid, err := strconv.Atoi(group); err == nil {
		p.gid = gid
	}
	return p, nil
}

func withHome(env []string, who person) []string {
	for _, kv := range env {
		if strings.HasPrefix(kv, "HOME=") {
			return env
		}
	}
	return append(env, "HOME="+who.home)
}

// find looks a program up on the PATH of env, inside.
func find(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := ""
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	for _, dir := range filepath.SplitList(path) {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", fmt.Errorf("executable file `%s` not found in $PATH", name)
}

// relaySocket listens inside and dials this machine for each connection, so a
// socket that is made anew is found. The agent of smolvm, which is root, makes
// it with the usual mask.
func relaySocket(b *box, m mount) error {
	var listener net.Listener
	err := inBox(b, func() (err error) {
		if err := os.MkdirAll(filepath.Dir(m.Guest), 0o755); err != nil {
			return err
		}
		if err := os.Remove(m.Guest); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if listener, err = net.Listen("unix", m.Guest); err == nil {
			err = os.Chmod(m.Guest, 0o755)
		}
		return err
	})
	if err != nil {
		return err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // its name is inside
	go func() {
		<-b.done
		_ = listener.Close()
	}()
	go func() {
		for {
			inner, err := listener.Accept()
			if err != nil {
				return
			}
			go relay(inner, m.Host)
		}
	}()
	return nil
}

func relay(inner net.Conn, host string) {
	defer inner.Close()
	outer, err := net.Dial("unix", host)
	if err != nil {
		fmt.Fprintln(os.Stderr, "WARN mount-socket:", err)
		return
	}
	defer outer.Close()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{inner, outer}, {outer, inner}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].(*net.UnixConn).CloseWrite() // the other direction may go on
		})
	}
	both.Wait()
}
