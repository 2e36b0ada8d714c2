package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// place is a host of machines that this machine can look at from outside: a
// network namespace, in which bb runs and so the sidecars that it starts. It is
// that of a container on an engine's network, whose resolver knows the names
// there; what is opened in it, asked of it or sent from it is bb's.
type place struct {
	name string // of the container
	ip   string
	pid  string // of a process in it
	jobs chan func()
}

// newPlace must come before the home that it is for: it outlives its destroy.
func newPlace(t testing.TB, network string) *place {
	t.Helper()
	p := &place{name: "place-" + random(4), jobs: make(chan func())}
	container(t, p.name, "--network", network, probeImage, "sleep")
	p.ip, p.pid = address(t, p.name), docker(t, "inspect", "--format", "{{.State.Pid}}", p.name)
	resolver := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolver, []byte("nameserver 127.0.0.11\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	entered := make(chan error)
	onOwnThread(func() {
		entered <- p.enter(resolver)
		for job := range p.jobs {
			job()
		}
	})
	t.Cleanup(func() { close(p.jobs) })
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	return p
}

// onOwnThread runs f on a thread that ends with it, and never on the first one,
// by which /proc/self is known.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		begun := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(begun)
			f()
		}()
		<-begun
		runtime.UnlockOSThread()
	}()
}

// enter brings this thread there.
func (p *place) enter(resolver string) error {
	ns, err := os.Open("/proc/" + p.pid + "/ns/net")
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount(resolver, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("resolv.conf: %w", err)
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("setns: %w", err)
	}
	return nil
}

// do runs something in it.
func (p *place) do(job func() error) error {
	done := make(chan error)
	p.jobs <- func() { done <- job() }
	return <-done
}

// start makes a program run in it.
func (p *place) start(cmd *exec.Cmd) error { return p.do(cmd.Start) }

// own gives its loopback an address, as a cloud gives its machines one.
func (p *place) own(t testing.TB, ip [4]byte) {
	t.Helper()
	err := p.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		request, err := unix.NewIfreq("lo:1")
		if err == nil {
			err = request.SetInet4Addr(ip[:])
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, unix.SIOCSIFADDR, request)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// reaches dials an address from it.
func (p *place) reaches(address string) error {
	return p.do(func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

var errNoBox = errors.New("it has no box")

// boxOf is the first process in a machine of the fake, as this machine counts.
func boxOf(vmm int) (string, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", vmm, vmm))
	if err != nil {
		return "", err
	}
	f := strings.Fields(string(children))
	if len(f) == 0 {
		return "", errNoBox
	}
	return f[0], nil
}

// processesOf are the command lines of all that runs in a machine, by what this
// machine sees, without its first process.
func processesOf(t testing.TB, vmm int) (lines []string) {
	t.Helper()
	box, err := boxOf(vmm)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := os.Readlink("/proc/" + box + "/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, dir := range all {
		if ns, _ := os.Readlink(dir + "/ns/pid"); ns == inside && filepath.Base(dir) != box {
			args, _ := os.ReadFile(dir + "/cmdline")
			lines = append(lines, strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " ")))
		}
	}
	return lines
}
