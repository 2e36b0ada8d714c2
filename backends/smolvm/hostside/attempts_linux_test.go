package hostside

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/child"
)

func init() { roles["host"], roles["lock"], roles["eat"] = playHost, playLock, playEat }

// playHost is bb as far as its confinement goes, and then a sidecar that was
// taken over: what it can do is told to the test.
func playHost(args []string) error {
	if len(args) == 0 {
		return Become([]string{"sidecar", "host", "--confined"}, nil)
	}
	key, err := Adopt()
	if err != nil {
		return err
	}
	var a attempts
	if err := read("attempts", &a); err != nil {
		return err
	}
	return a.run(key)
}

// attempts is what a sidecar that was taken over is told to try.
type attempts struct {
	Secret   string // a file of the same user's
	Neighbor int    // a process of the same user's
	Abstract string // a socket
	Sibling  string // the directory of another sidecar
	Process  int    // and its process
	Hide     string // how it wants to outlive the bottle
	Grow     bool   // whether a child of it takes all memory
}

func (a attempts) run(key string) error {
	switch {
	case a.Hide != "":
		return hide(a.Hide)
	case a.Grow:
		return grow()
	}
	did := map[string]bool{}
	try := func(what string, err error) { did[what] = err == nil }
	a.files(try)
	a.processes(try)
	a.door(try)
	a.sibling(try, key)
	a.others(try)
	plain := net.ListenConfig{}
	plain.SetMultipathTCP(false) // which Landlock does not know
	l, err := plain.Listen(context.Background(), "tcp", "127.0.0.1:0")
	try("open a port", err)
	if err == nil {
		_ = l.Close()
	}
	c, err := net.DialTimeout("unix", a.Abstract, time.Second)
	try("reach its socket", err)
	if err == nil {
		_ = c.Close()
	}
	try("become another", syscall.Setuid(12345))
	try("change owners", os.Chown("attempts", 12345, 12345))
	_, err = os.ReadFile("/etc/hosts")
	try("names", err)
	try("run git's kind", exec.Command("/bin/true").Run())
	b, err := json.Marshal(did)
	if err != nil {
		return err
	}
	return os.WriteFile("did", b, 0o600)
}

func (a attempts) files(try func(string, error)) {
	_, err := os.ReadFile(a.Secret)
	try("read a file", err)
	_, err = os.ReadDir(filepath.Dir(a.Secret))
	try("list a directory", err)
	try("write beside", os.WriteFile(a.Secret+".mine", nil, 0o600))
	try("run a file", exec.Command(a.Secret+".sh").Run())
	try("a child reads it", exec.Command("/bin/cat", a.Secret).Run())
	try("own directory", os.WriteFile("mine", nil, 0o600))
	err = errors.New("nothing")
	for _, name := range []string{recordFile, processFile, keyFile, instanceFile, "lock"} {
		if os.WriteFile("../"+name, nil, 0o600) == nil || os.Remove("../"+name) == nil {
			err = nil
		}
	}
	try("write what bb believes", err)
}

func (a attempts) processes(try func(string, error)) {
	for prefix, pid := range map[string]int{"": a.Neighbor, "a sibling: ": a.Process} {
		try(prefix+"signal", syscall.Kill(pid, 0))
		_, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		try(prefix+"read its environment", err)
		try(prefix+"trace", syscall.PtraceAttach(pid))
		word := make([]byte, 8)
		_, err = unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &word[0], Len: 8}}, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&word[0])), Len: 8}}, 0)
		if errors.Is(err, unix.EFAULT) {
			err = nil // it may, and nothing is there
		}
		try(prefix+"read its memory", err)
		fd, err := unix.PidfdOpen(pid, 0)
		if err == nil {
			_, err = unix.PidfdGetfd(fd, 0, 0)
			try(prefix+"take a descriptor", err)
			try(prefix+"signal by handle", unix.PidfdSendSignal(fd, 0, nil, 0))
		}
	}
}

func (a attempts) door(try func(string, error)) {
	try("link a socket into the door", os.Symlink(a.Secret, "../d/s"))
	err := os.Symlink(a.Secret, "s")
	if err == nil {
		err = os.Rename("s", "../d/s")
	}
	try("move a link into the door", err)
	try("write into the door", os.WriteFile("../d/x", nil, 0o600))
	err = os.Rename("../d", "d")
	if err != nil {
		err = os.Remove("../d")
	}
	try("move or remove the door", err)
	door, err := net.Listen("unix", "../d/s")
	try("listen at the door", err)
	if err == nil {
		_ = door.Close()
	}
}

// sibling tries the sidecar of another bottle: with its own key, with no key,
// with one that is wrong, from itself and from a child.
func (a attempts) sibling(try func(string, error), own string) {
	h := home(a.Sibling)
	_, err := os.ReadFile(h.file(keyFile))
	try("read a sibling's key", err)
	_, err = os.ReadFile("../" + keyFile)
	try("read its own key again", err)
	_, err = os.ReadDir("../..")
	try("list the siblings", err)
	_, err = os.ReadFile(h.own("ca", egress.CAKeyFile))
	try("read a sibling's authority", err)
	try("remove a sibling's control socket", os.Remove(h.control()))
	try("hold a sibling's lock", func() error {
		f, err := os.OpenFile(h.own(pidFile), os.O_RDWR, 0)
		if err == nil {
			err = f.Close()
		}
		return err
	}())
	wrong := egress.NewControlKey()
	try("reach a sibling's control socket", errors.New("not yet"))
	for _, key := range []string{"", "key \n", "key " + own + "\n", "key " + wrong + "\n", "key " + own[:42] + "\n", "key " + strings.Repeat("A", 1000) + "\n"} {
		for verb, payload := range commands(filepath.Base(a.Sibling)) {
			if key != "" {
				verb = "bb1 " + key + "bb1 " + verb
			} else {
				verb = "bb1 " + verb
			}
			said, err := say(h.control(), verb+"\n"+payload)
			if err == nil && !strings.Contains(said, `"ok":true`) && !strings.Contains(said, "secret") && !strings.Contains(said, "BEGIN") {
				err = errors.New("refused")
			}
			if err == nil {
				try("reach a sibling's control socket", nil)
				try(fmt.Sprintf("say %q to a sibling", verb), nil)
			}
		}
	}
}

// commands are all that a control socket knows, with what follows them.
func commands(instance string) map[string]string {
	return map[string]string{
		"get": "", "ca": "", "log": "{}\n", "supervise": "", "agent": `{"keys":[]}` + "\n",
		"apply": `{"bb":1,"instance":"` + instance + `","routes":[{"host":"attacker.example.com","port":443,"auth":{"scheme":"Bearer","slot":"EGRESS_TOKEN_0"}}],"tokens":{"EGRESS_TOKEN_0":{"keep":"d0"}}}`,
	}
}

// say writes all of a conversation, and returns what is answered.
func say(socket, text string) (string, error) {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	_, _ = io.WriteString(c, text)
	_ = c.(*net.UnixConn).CloseWrite()
	said, err := io.ReadAll(c)
	if len(said) > 0 {
		err = nil // what follows is that it was cut off
	}
	return string(said), err
}

// hide lets go of the lock, by which bb knows a sidecar, and does not end.
func hide(how string) error {
	signal.Ignore(syscall.SIGTERM)
	for fd := 3; fd < 64; fd++ {
		var is unix.Stat_t
		if unix.Fstat(fd, &is) == nil && is.Mode&unix.S_IFMT == unix.S_IFREG {
			_ = unix.Close(fd)
		}
	}
	switch how {
	case "no pid file":
		if err := os.Remove(pidFile); err != nil {
			return err
		}
	case "a child has the lock":
		child := exec.Command(os.Args[0], "sidecar", "lock")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			return err
		}
		for held, _ := os.Stat("held"); held == nil; held, _ = os.Stat("held") {
			time.Sleep(time.Millisecond)
		}
	}
	if err := os.WriteFile("did", nil, 0o600); err != nil {
		return err
	}
	time.Sleep(time.Minute)
	return nil
}

func playLock([]string) error {
	signal.Ignore(syscall.SIGTERM)
	err := claim(pidFile)
	if err == nil {
		err = os.WriteFile("held", nil, 0o600)
	}
	time.Sleep(time.Minute)
	return err
}

// grow has a child that takes too much, and then another one that lives.
func grow() error {
	out := &bytes.Buffer{}
	err := child.Run(context.Background(), child.Options{
		Path: os.Args[0], Args: []string{"sidecar", "eat"}, Stdout: out, Stderr: io.Discard,
	})
	var exit *child.ExitError
	if !errors.As(err, &exit) || out.String() != "begun" {
		return fmt.Errorf("the child that took %d: %w, %s", 3*maxData/2, err, out)
	}
	if err := os.WriteFile("did", nil, 0o600); err != nil {
		return err
	}
	return child.Run(context.Background(), child.Options{Path: "/bin/sleep", Args: []string{"60"}})
}

// playEat takes half more than a child may have.
func playEat([]string) error {
	fmt.Print("begun")
	const piece = 32 << 20
	var all [][]byte
	for range 3 * maxData / 2 / piece {
		b := make([]byte, piece)
		for i := 0; i < piece; i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
	}
	fmt.Print(" and ended")
	runtime.KeepAlive(all)
	return nil
}
