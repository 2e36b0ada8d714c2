package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("CHILD_TEST_PARENT") != "" {
		// A parent that is killed while its child runs.
		err := Run(context.Background(), Options{
			Path: "/bin/sh", Args: []string{"-c", "echo $$; exec sleep 60"}, Stdout: os.Stdout,
		})
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func shell(script string) Options {
	return Options{Path: "/bin/sh", Args: []string{"-c", script}}
}

func run(t *testing.T, o Options) (string, error) {
	t.Helper()
	var out bytes.Buffer
	o.Stdout, o.Stderr = &out, &out
	err := Run(t.Context(), o)
	return out.String(), err
}

func TestRunGivesOnlyWhatIsGiven(t *testing.T) {
	t.Setenv("SECRET", "inherited")
	o := shell("cat /proc/$$/environ | tr '\\0' '\\n'; pwd; echo $0; cat")
	o.Name, o.Env, o.Stdin = "called-so", []string{"A=b"}, strings.NewReader("in\n")
	out, err := run(t, o)
	if err != nil {
		t.Fatal(err)
	}
	if want := "A=b\n/\ncalled-so\nin\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	o.Env = nil
	if out, _ = run(t, o); strings.Contains(out, "inherited") {
		t.Errorf("it inherits: %q", out)
	}
}

func TestRunPassesFilesAndExitCodes(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o := shell("echo three >&3; exit 7")
	o.Files = []*os.File{w}
	_, err = run(t, o)
	_ = w.Close()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("got %v, want exit code 7", err)
	}
	if got, _ := io.ReadAll(r); string(got) != "three\n" {
		t.Errorf("descriptor 3 got %q", got)
	}
	if _, err := run(t, Options{Path: "/nonexistent"}); err == nil || err.Error() != "it cannot be started: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

// A program that looks at its limits first thing sees them: many times, since
// this is about a race.
func TestLimitsAreInForceAtOnce(t *testing.T) {
	for range 50 {
		out, err := run(t, Options{Path: "/bin/cat", Args: []string{"/proc/self/limits"}, Limits: Limits{
			AddressSpace: 1 << 30, Data: 1 << 29, CPU: 7, FileSize: 4096, Descriptors: 33,
		}})
		if err != nil {
			t.Fatal(err, out)
		}
		for name, want := range map[string]string{
			"Max address space": "1073741824", "Max data size": "536870912", "Max cpu time": "7",
			"Max file size": "4096", "Max open files": "33", "Max core file size": "0",
		} {
			_, rest, _ := strings.Cut(out, name)
			fields := strings.Fields(rest)
			if len(fields) < 2 || fields[0] != want || fields[1] != want {
				t.Fatalf("%s is not %s: %s", name, want, out)
			}
		}
	}
}

// What the program reads may come from a bottle, which can stop in the middle.
func TestStdinThatBlocksHoldsNothing(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	began := time.Now()
	for script, want := range map[string]error{"exit 0": ErrWaitDelay, "exit 7": &ExitError{}} {
		o := shell(script)
		o.Stdin, o.Grace = r, 50*time.Millisecond
		_, err := run(t, o)
		var exit *ExitError
		if errors.As(want, &exit) != errors.As(err, &exit) || exit == nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", script, err, want)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it held for %s", took)
	}
	broken := errors.New("cut off")
	o := shell("cat")
	o.Stdin = io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	if out, err := run(t, o); out != "half" || !errors.Is(err, broken) {
		t.Errorf("got %q, %v", out, err)
	}
	o = shell("exec true")
	o.Stdin = io.LimitReader(zeros{}, 1<<20)
	if _, err := run(t, o); err != nil {
		t.Errorf("what is not read fails: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLimitsBite(t *testing.T) {
	dir := t.TempDir()
	o := shell("exec head -c 100000 /dev/zero >big")
	o.Dir, o.Limits = dir, Limits{FileSize: 5000}
	if _, err := run(t, o); err == nil {
		t.Error("a file became larger than its limit")
	}
	if info, err := os.Stat(filepath.Join(dir, "big")); err != nil || info.Size() > 5000 {
		t.Errorf("%v %v", info, err)
	}
	o = shell("exec head -c 1 /dev/zero >none")
	o.Dir, o.Limits = dir, Limits{NoFiles: true}
	if _, err := run(t, o); err == nil {
		t.Error("a byte was written into a file")
	}
	if info, err := os.Stat(filepath.Join(dir, "none")); err != nil || info.Size() > 0 {
		t.Errorf("%v %v", info, err)
	}
	o = shell("while :; do :; done")
	o.Limits = Limits{CPU: 1}
	began := time.Now()
	if _, err := run(t, o); err == nil || time.Since(began) > 20*time.Second {
		t.Errorf("a loop of a second ended with %v after %s", err, time.Since(began))
	}
}

func gone(pid int) bool {
	for range 300 {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(data), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func pidIn(t *testing.T, text string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestTheGroupEndsWithTheProgram(t *testing.T) {
	began := time.Now()
	out, err := run(t, shell("sleep 60 & echo $!"))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("what it left held it for %s", took)
	}
	if !gone(pidIn(t, out)) {
		t.Error("what it left still runs")
	}
}

func TestTheGroupEndsWithTheContext(t *testing.T) {
	for name, script := range map[string]string{
		"gentle":   "sleep 60 & echo $!; wait",
		"stubborn": "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $!; while :; do sleep 1; done",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			o := shell(script)
			o.Stdout, o.Grace = w, 300*time.Millisecond
			done := make(chan error, 1)
			go func() { done <- Run(ctx, o); _ = w.Close() }()
			line := make([]byte, 32)
			n, err := r.Read(line)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			select {
			case err := <-done:
				if err == nil {
					t.Error("no error")
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it does not end")
			}
			if !gone(pidIn(t, string(line[:n]))) {
				t.Error("a process of its group still runs")
			}
		})
	}
}

func TestItEndsWithItsParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = []string{"CHILD_TEST_PARENT=1"}
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	if !gone(pidIn(t, string(line[:n]))) {
		t.Error("it outlives its parent")
	}
}

// A context that is over already, and ones that end at any moment, never leave
// a program that nobody waits for.
func TestEndedAtEveryMoment(t *testing.T) {
	for i := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		if err := Run(ctx, Options{Path: "/bin/sleep", Args: []string{"60"}}); err == nil {
			t.Error("no error")
		}
		cancel()
	}
}

func TestFind(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if path, err := Find("sh"); err != nil || !filepath.IsAbs(path) {
		t.Errorf("%q %v", path, err)
	}
	if _, err := Find("no-such-program-at-all"); err == nil {
		t.Error("found")
	}
}

func TestNoDescriptorIsInherited(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := run(t, Options{Path: "/bin/ls", Args: []string{"/proc/self/fd"}})
	if err != nil || strings.Join(strings.Fields(out), " ") != "0 1 2 3" { // 3 is the directory
		t.Errorf("%q %v", out, err)
	}
}
