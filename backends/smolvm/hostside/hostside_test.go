package hostside

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hs") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // others pass through
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newSidecars(t *testing.T) (*Sidecars, *spec.Spec) {
	t.Helper()
	s, err := New(Options{Dir: filepath.Join(shortDir(t), "s"), Self: bb, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	one := &spec.Spec{ID: spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}, Backend: "smolvm"}
	t.Cleanup(func() { _ = s.Remove(t.Context(), one.ID) })
	t.Cleanup(func() { _ = end(t.Context(), s.home(one.ID)) })
	return s, one
}

func only(t *testing.T, s *Sidecars) smolvm.Sidecar {
	t.Helper()
	all, err := s.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

func TestLife(t *testing.T) {
	s, one := newSidecars(t)
	defer s.Remove(t.Context(), one.ID) //nolint:errcheck // below
	if all, err := s.List(t.Context()); err != nil || len(all) > 0 || Used(s.opts.Dir) {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := s.Start(t.Context(), one.ID); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("start of none: %v", err)
	}
	var wg sync.WaitGroup
	for range 3 { // at a time: one sidecar
		wg.Go(func() {
			if err := s.Ensure(t.Context(), one); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	h := s.home(one.ID)
	first, _ := serving(h)
	x := only(t, s)
	if first.PID == 0 || !x.Part.Running || x.State == nil || x.State.State != egress.StateUnconfigured || x.Part.Image != s.Image() || x.ID != one.ID || !Used(s.opts.Dir) {
		t.Fatalf("%+v, %+v", x.Part, x.State)
	}
	for _, dir := range []string{s.opts.Dir, string(h)} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info, err)
		}
	}
	for _, file := range []string{"environ", "cmdline"} {
		b, _ := os.ReadFile("/proc/self/" + file)
		if got, err := os.ReadFile("/proc/" + strconv.Itoa(first.PID) + "/" + file); err == nil && bytes.Equal(got, b) {
			t.Errorf("it has this process's %s", file)
		}
	}
	if reply, err := s.Control(t.Context(), one.ID, "get", nil); err != nil || !bytes.Contains(reply, []byte(`"ok":true`)) {
		t.Errorf("%s, %v", reply, err)
	}
	if reply, err := s.Control(t.Context(), one.ID, "apply", []byte(`{"secret":"quoted-nowhere"}`)); err == nil || strings.Contains(err.Error()+string(reply), "quoted-nowhere") {
		t.Errorf("a bad document: %s, %v", reply, err)
	}

	// Killed, it is started again as the same part.
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); only(t, s).Part.Running && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if y := only(t, s); y.Part.Running || y.State != nil || y.Part.Ref != x.Part.Ref {
		t.Errorf("%+v", y)
	}
	if _, err := s.Control(t.Context(), one.ID, "get", nil); err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("%v", err)
	}
	ca, err := os.ReadFile(h.own("ca") + "/" + egress.CACertFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	if y := only(t, s); !y.Part.Running || y.Part.Ref != x.Part.Ref {
		t.Errorf("%+v", y.Part)
	}
	var said bytes.Buffer
	if err := s.Logs(t.Context(), one.ID, backends.LogRequest{}, &said); err != nil || strings.Count(said.String(), egress.StateUnconfigured) != 2 {
		t.Errorf("%s, %v", said.String(), err)
	}

	// Made otherwise, it is replaced; its authority stays.
	r := record{}
	if err := read(h.file(recordFile), &r); err != nil {
		t.Fatal(err)
	}
	r.Image = "bb-older-1"
	if err := write(h.file(recordFile), r); err != nil {
		t.Fatal(err)
	}
	if err := s.Ensure(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if y := only(t, s); y.Part.Ref == x.Part.Ref || y.Part.Image != s.Image() {
		t.Errorf("%+v", y.Part)
	}
	if again, err := os.ReadFile(h.own("ca") + "/" + egress.CACertFile); err != nil || !bytes.Equal(again, ca) {
		t.Errorf("another authority: %v", err)
	}

	if err := s.Remove(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	if y := only(t, s); y.Part != nil || len(y.Leftovers) != 1 {
		t.Errorf("%+v", y)
	}
	for range 2 { // gone is success
		if err := s.RemoveState(t.Context(), one.ID); err != nil {
			t.Fatal(err)
		}
	}
	if Used(s.opts.Dir) {
		t.Error("something is left")
	}
}

// A number that went to another process is never signalled, whatever is written
// down about it.
func TestReusedNumber(t *testing.T) {
	h := home(t.TempDir())
	if err := os.Mkdir(h.own(), 0o700); err != nil {
		t.Fatal(err)
	}
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()         //nolint:errcheck // it is killed
	defer other.Process.Kill() //nolint:errcheck // it is killed
	pid := other.Process.Pid
	was := born(pid)
	if was == "" || was == born(os.Getpid()) {
		t.Fatalf("born %q", was)
	}
	for _, p := range []process{{PID: pid}, {PID: pid, Born: "x"}, {PID: pid, Born: was + "0"}, {PID: pid, Born: born(os.Getpid())}, {PID: 1, Born: born(1)}, {PID: -1}, {}} {
		for _, file := range []string{h.own(pidFile), h.file(processFile)} {
			if err := write(file, p); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if err := kill(h, pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if p, err := serving(h); err != nil || p.PID != 0 {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil || born(pid) != was {
		t.Errorf("another's process was ended: %v", err)
	}
	// The one of that number that was written down is.
	if err := write(h.file(processFile), process{PID: pid, Born: was}); err != nil {
		t.Fatal(err)
	}
	if err := end(t.Context(), h); err != nil || born(pid) != "" {
		t.Errorf("%v, %q", err, born(pid))
	}
}

func TestLongPath(t *testing.T) {
	s, one := newSidecars(t)
	s.opts.Dir = filepath.Join(t.TempDir(), strings.Repeat("x", 110))
	if err := s.Ensure(t.Context(), one); err == nil || !strings.Contains(err.Error(), "too long a path") {
		t.Errorf("%v", err)
	}
}

// What cannot start says why, and is no sidecar.
func TestDoesNotComeUp(t *testing.T) {
	s, one := newSidecars(t)
	h := s.home(one.ID)
	if err := os.MkdirAll(h.door(), 0o700); err != nil { // where its socket should be
		t.Fatal(err)
	}
	err := s.Ensure(t.Context(), one)
	if err == nil || !strings.Contains(err.Error(), "did not come up: it ended at once; it said: ") {
		t.Errorf("%v", err)
	}
	if x := only(t, s); x.Part.Running {
		t.Errorf("%+v", x.Part)
	}
	one.Gate.Pipelock = true
	if err := s.Ensure(t.Context(), one); err == nil || !strings.Contains(err.Error(), "no pipelock") {
		t.Errorf("%v", err)
	}
}

// What a sidecar that was taken over leaves in its directory holds up nobody, and
// leads nowhere.
func TestLeftByOneTakenOver(t *testing.T) {
	s, one := newSidecars(t)
	if err := s.Ensure(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	h := s.home(one.ID)
	if err := end(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(elsewhere, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, leave := range map[string]func(path string) error{
		"a pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link": func(path string) error { return os.Symlink(elsewhere, path) },
	} {
		for _, file := range []string{h.log(), h.log() + ".before", h.log() + ".new"} {
			_ = os.Remove(file)
			if err := leave(file); err != nil {
				t.Fatal(err)
			}
		}
		only(t, s)
		_ = s.Logs(t.Context(), one.ID, backends.LogRequest{}, &bytes.Buffer{})
		if err := s.Ensure(t.Context(), one); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := end(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(elsewhere); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
}

// A copy of bb that is still open for writing somewhere is waited for.
func TestProgramIsBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "true")
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700) //nolint:gosec // a program
	if err == nil {
		_, err = f.Write(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = f.Close() })
	cmd, err := begin(func() *exec.Cmd { return exec.Command(path) })
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func logged(t *testing.T, s *Sidecars, one *spec.Spec) string {
	t.Helper()
	var said bytes.Buffer
	if err := s.Logs(t.Context(), one.ID, backends.LogRequest{}, &said); err != nil {
		t.Fatal(err)
	}
	return said.String()
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("no sign of " + what)
		}
	}
}
