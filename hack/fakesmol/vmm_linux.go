package fakesmol

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

func canBoot() error {
	if os.Geteuid() != 0 {
		return errors.New("the fake smolvm makes namespaces and mounts: run this test as root")
	}
	return nil
}

func under(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}

// vmm is a machine's process on this machine.
type vmm struct {
	state *state
	r     *record
	root  string
	room  int // for processes that others begin: see ownKernel

	make chan chan made // asks the first thread for a box
	mu   sync.Mutex
	box  *box
}

// box is the container of the machine's workload.
type box struct {
	pid  int
	done chan struct{}
}

type made struct {
	box *box
	err error
}

// playVMM runs as: fakesmol-vmm DATA_DIR MACHINE ROOT [FAULT...],
// with a pipe for its first word as descriptor 3.
func playVMM() int {
	ready := os.NewFile(3, "ready")
	syscall.CloseOnExec(3)
	v := &vmm{state: &state{os.Args[1]}, root: os.Args[3], room: othersRoom, make: make(chan chan made)}
	if slices.Contains(os.Args[4:], FaultExact) {
		v.room = 0
	}
	r, err := v.state.load(os.Args[2])
	if err == nil && r == nil {
		err = notFound(os.Args[2])
	}
	if err != nil {
		fmt.Fprint(ready, err)
		return 1
	}
	v.r = r
	_, r.Config, err = v.state.root(r)
	var listener *net.UnixListener
	if err == nil {
		listener, err = v.listen()
	}
	if err == nil {
		v.box, err = v.start(v.workload())
	}
	if err != nil {
		fmt.Fprint(ready, err)
		return 1
	}
	if slices.Contains(os.Args[4:], FaultSlow) {
		time.Sleep(2 * time.Second)
	}
	go v.serve(listener)
	fmt.Fprint(ready, "ready")
	_ = ready.Close()
	if slices.Contains(os.Args[4:], FaultUnreachable) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // this very process: it can
	}
	// Boxes die with this thread, so no other may start them.
	for to := range v.make {
		b, err := v.start(nil)
		to <- made{b, err}
	}
	return 0
}

func (v *vmm) listen() (*net.UnixListener, error) {
	dir, err := os.Open(v.state.home(v.r.Name))
	if err != nil {
		return nil, err
	}
	if err := os.Remove(v.state.socket(v.r.Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: under(dir, "agent.sock")})
}

func (v *vmm) workload() []string {
	if len(v.r.Command) > 0 {
		return v.r.Command
	}
	return append(slices.Clone(v.r.Config.Entrypoint), v.r.Config.Cmd...)
}

// start starts a box; without a command it idles.
func (v *vmm) start(argv []string) (*box, error) {
	home := v.state.home(v.r.Name)
	config, err := json.Marshal(boxConfig{
		Home: home, Root: v.root, Name: v.r.Name, Volumes: v.r.Volumes, Argv: argv,
		Env: v.environment(nil), Dir: v.workdir(""), User: v.r.Config.User,
		Device:    v.r.Network && v.r.Device,
		NoOverlay: slices.Contains(os.Args[4:], FaultNoOverlay),
	})
	if err != nil {
		return nil, err
	}
	in, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	word, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer word.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{boxName}, Env: []string{"PATH=" + os.Getenv("PATH"), "GOTRACEBACK=single"}, Dir: "/",
		Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: []*os.File{in, say},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
			Pdeathsig:  syscall.SIGKILL, Setsid: true,
		},
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_ = say.Close()
	b := &box{pid: cmd.Process.Pid, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is of no interest
		close(b.done)
	}()
	if _, err := tell.Write(config); err != nil {
		return nil, err
	}
	_ = tell.Close()
	if message, err := io.ReadAll(word); err != nil || len(message) > 0 {
		return nil, errors.Join(err, errors.New(string(message)))
	}
	for _, m := range v.r.Sockets {
		if err := relaySocket(b, m); err != nil {
			fmt.Fprintf(os.Stderr, "WARN mount-socket %s: %v\n", m.Guest, err)
		}
	}
	return b, nil
}

// alive returns the box, or a new idle one where the workload has ended.
func (v *vmm) alive() (*box, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.box.done:
	default:
		return v.box, nil
	}
	to := make(chan made)
	v.make <- to
	m := <-to
	if m.err == nil {
		v.box = m.box
	}
	return v.box, m.err
}

func (v *vmm) serve(listener *net.UnixListener) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			fmt.Fprintln(os.Stderr, "ERROR accept:", err)
			return
		}
		go v.answer(conn)
	}
}

func (v *vmm) answer(conn *net.UnixConn) {
	defer conn.Close()
	q, files, in, err := receive(conn)
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	var r reply
	if err == nil {
		r, err = v.perform(q, files, in)
	}
	if err != nil {
		r.Error = err.Error()
	}
	for _, f := range files {
		_ = f.Close() // before the reply: then the other end has all
	}
	_ = json.NewEncoder(conn).Encode(r) // one that has gone needs no answer
	if q.Op == "stop" {
		v.end()
	}
}

func (v *vmm) perform(q request, files []*os.File, in io.Reader) (reply, error) {
	if q.Op == "ping" || q.Op == "stop" {
		return reply{}, nil
	}
	b, err := v.alive()
	if err != nil {
		return reply{}, err
	}
	if q.Op == "exec" && len(files) == 3 {
		return v.exec(b, q, files, in)
	}
	return reply{}, fmt.Errorf("no operation %q with %d descriptors", q.Op, len(files))
}

// end is the machine's shutdown.
func (v *vmm) end() {
	v.mu.Lock()
	_ = syscall.Kill(v.box.pid, syscall.SIGTERM) // may be dead already
	select {
	case <-v.box.done:
	case <-time.After(300 * time.Millisecond):
		_ = syscall.Kill(v.box.pid, syscall.SIGKILL)
		<-v.box.done
	}
	exit(0)
}

// receive reads a request and its descriptors, and returns what follows it.
func receive(conn *net.UnixConn) (request, []*os.File, io.Reader, error) {
	first, oob := make([]byte, 1), make([]byte, syscall.CmsgSpace(3*4))
	n, oobn, _, _, err := conn.ReadMsgUnix(first, oob)
	if err != nil || n != 1 {
		return request{}, nil, nil, errors.Join(err, errors.New("no request"))
	}
	var files []*os.File
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		fds, rightsErr := syscall.ParseUnixRights(&m)
		err = errors.Join(err, rightsErr)
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "stream"))
		}
	}
	in := bufio.NewReader(conn)
	line, readErr := in.ReadBytes('\n')
	var q request
	if err = errors.Join(err, readErr); err == nil {
		err = json.Unmarshal(append(first, line...), &q)
	}
	return q, files, in, err
}
