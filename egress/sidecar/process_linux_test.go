package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/egress"
)

func init() {
	roles["run"] = playRun
	roles["ctl"] = playCtl
	roles["harden"] = playHarden
}

func optionsOf(dir string) Options {
	return Options{
		DoorSocket:    filepath.Join(dir, "door", "d.sock"),
		ControlSocket: filepath.Join(dir, "run", "c.sock"),
		CADir:         filepath.Join(dir, "ca"),
		Build:         "test",
		Stdout:        os.Stdout,
		Stderr:        os.Stderr,
	}
}

// playRun is a whole sidecar with the real proxy; at its end it lists its own
// listening TCP sockets on stderr.
func playRun() int {
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(told, func() {
		fmt.Fprintln(os.Stderr, "tcp listeners:", tcpListeners())
		cancel()
	})
	if err := Run(ctx, optionsOf(os.Args[1])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func playCtl() int {
	if os.Args[2] == CommandLog {
		if err := CtlLog(context.Background(), Control{Socket: optionsOf(os.Args[1]).ControlSocket}, egress.LogRequest{Follow: len(os.Args) > 3}, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	if err := Ctl(context.Background(), Control{Socket: optionsOf(os.Args[1]).ControlSocket}, os.Args[2], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// playHarden says what harden has reached.
func playHarden() int {
	runtime.LockOSThread()
	if err := harden(); err != nil {
		fmt.Println(err)
		return 1
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	var core unix.Rlimit
	err = errors.Join(err, unix.Getrlimit(unix.RLIMIT_CORE, &core))
	threads := "all"
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0); errno == syscall.ENOTSUP {
		threads = "thread-self" // a cgo build, as under the race detector
	}
	pattern := "/proc/self/task/*/status"
	if threads != "all" {
		pattern = "/proc/thread-self/status"
	}
	files, globErr := filepath.Glob(pattern)
	free := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(data), "NoNewPrivs:\t1\n") {
			free++
		}
	}
	self, selfErr := os.Executable() // git is told to run it
	if _, statErr := os.Stat(self); statErr != nil {
		selfErr = errors.Join(selfErr, statErr)
	}
	fmt.Println(dumpable, core.Cur, core.Max, len(files) > 0, free, errors.Join(err, globErr, selfErr))
	return 0
}

// tcpListeners counts listening TCP sockets among the process's descriptors.
func tcpListeners() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	var tables []byte
	for _, name := range []string{"tcp", "tcp6"} {
		data, _ := os.ReadFile("/proc/self/net/" + name)
		tables = append(tables, data...)
	}
	count := 0
	for _, entry := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + entry.Name())
		inode, ok := strings.CutPrefix(strings.TrimSuffix(target, "]"), "socket:[")
		if !ok {
			continue
		}
		for line := range strings.Lines(string(tables)) {
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[3] == "0A" && fields[9] == inode {
				count++
			}
		}
	}
	return count
}

func again(t *testing.T, role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SIDECAR_TEST_ROLE="+role, "GOCOVERDIR="+t.TempDir())
	return cmd
}

func TestHarden(t *testing.T) {
	out, err := again(t, "harden").CombinedOutput()
	if diff := cmp.Diff("0 0 0 true 0 <nil>\n", string(out)); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// Everything that a sidecar and its ctl say, at whatever documents, holds no
// token value; and the sidecar listens on no TCP port.
func TestNoTokenLeavesTheProcess(t *testing.T) {
	dir, err := os.MkdirTemp("", "side") //nolint:usetesting // a socket path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var said syncBuffer
	cmd := again(t, "run", dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(3*deadline, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	defer cmd.Process.Kill() //nolint:errcheck // ended already if all went well
	for end := time.Now().Add(deadline); !strings.Contains(said.String(), "unconfigured"); {
		if time.Now().After(end) {
			t.Fatalf("no state line: %s", said.String())
		}
		time.Sleep(10 * time.Millisecond)
	}

	good := document(nil)
	steps := []struct {
		command string
		stdin   []byte
		ok      bool
	}{
		{CommandApply, good, true},
		{CommandApply, good[:len(good)-3], false},
		{CommandApply, append(bytes.Clone(good), good...), false},
		{CommandApply, bytes.Replace(good, []byte(`"value"`), []byte(`"valeu"`), 1), false},
		{CommandApply, document(func(d *egress.Document) { d.Routes[0].Host = secretValue }), false},
		{CommandApply, document(func(d *egress.Document) { d.Instance = secretValue }), false},
		{CommandApply, document(func(d *egress.Document) {
			d.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: secretValue, Digest: secretValue}
		}), false},
		{CommandApply, document(func(d *egress.Document) { d.UpstreamCA = secretValue }), false},
		{CommandApply, document(func(d *egress.Document) {
			d.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: secretValue + "\n"}
		}), false},
		{CommandApply, document(func(d *egress.Document) { d.Tokens["EGRESS_TOKEN_0"] = egress.Token{Keep: "d0"} }), true},
		{CommandGet, nil, true},
		{CommandCA, nil, true},
		{CommandLog, nil, true},
	}
	for i, step := range steps {
		ctl := again(t, "ctl", dir, step.command)
		ctl.Stdin = bytes.NewReader(step.stdin)
		ctl.Stdout, ctl.Stderr = &said, &said
		if err := ctl.Run(); (err == nil) != step.ok {
			t.Errorf("step %d, %s: %v", i, step.command, err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("run: %v", err)
	}

	all := said.String()
	if strings.Contains(all, "9f3c") || strings.Contains(all, "secret-value") {
		t.Errorf("a token value left the process:\n%s", all)
	}
	for _, want := range []string{`{"bb":1,"state":"configured"`, "BEGIN CERTIFICATE", `"EGRESS_TOKEN_0":{"digest":"d0"}`, "tcp listeners: 0"} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing says %s:\n%s", want, all)
		}
	}
}
