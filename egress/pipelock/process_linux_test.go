package pipelock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("PIPELOCK_TEST_PARENT"); dir != "" {
		os.Exit(parent(dir))
	}
	os.Exit(m.Run())
}

// parent starts a process, tells its id, and waits to be killed.
func parent(dir string) int {
	p, err := Start(context.Background(), Options{Binary: os.Args[1], Dir: filepath.Join(dir, "p")}, policy("a.example.com"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(p.address, children())
	time.Sleep(time.Minute)
	return 0
}

// standin builds the stand-in, with values linked into it.
func standin(t *testing.T, set ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipelock")
	flags := "-s -w"
	for _, s := range set {
		flags += " -X main." + s
	}
	cmd := exec.Command("go", "build", "-ldflags", flags, "-o", path, "./internal/standin")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// script is a program of a shell's lines.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipelock")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func policy(hosts ...string) Policy {
	var p Policy
	for _, h := range hosts {
		p.Routes = append(p.Routes, egress.Route{Host: h, Port: 443, Source: "bottle dev.md:4"})
	}
	return p
}

type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, fmt.Sprintf(format, args...))
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.list, "\n")
}

// quick restarts without waiting for long.
var quick = waits{
	command: 5 * time.Second, port: 5 * time.Second, first: 20 * time.Millisecond,
	most: 100 * time.Millisecond, calm: time.Minute, end: time.Second,
}

func start(t *testing.T, binary string, p Policy) (*Process, *notes) {
	t.Helper()
	n := &notes{}
	proc, err := Start(t.Context(), Options{Binary: binary, Dir: filepath.Join(t.TempDir(), "private"), Note: n.add, waits: quick}, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proc.Stop)
	return proc, n
}

// children are this process's.
func children() []int {
	var out []int
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range files {
		data, _ := os.ReadFile(f)
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				out = append(out, pid)
			}
		}
	}
	return out
}

func dials(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// connect asks for a tunnel and returns the answer's code and body.
func connect(t *testing.T, address, target string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return res.StatusCode, string(body)
}

func TestProcess(t *testing.T) {
	p, n := start(t, standin(t), policy("a.example.com"))
	if code, body := connect(t, p.address, "b.example.com:443"); code != 403 || body != "CONNECT blocked: domain not in allowlist: b.example.com\n" {
		t.Errorf("%d %q", code, body)
	}
	if !p.Serves(policy("a.example.com")) || p.Serves(policy("a.example.com", "b.example.com")) || p.Serves(Policy{}) {
		t.Error("it does not know what it serves")
	}
	changed := policy("a.example.com")
	changed.UpstreamCA = "other"
	if p.Serves(changed) {
		t.Error("other roots, and it would stay")
	}
	changed = policy("a.example.com")
	changed.Routes[0].Source = "bottle dev.md:5"
	if !p.Serves(changed) {
		t.Error("a line that moved would restart it")
	}
	files, err := filepath.Glob(p.dir + "/*")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range append(files, p.dir, p.o.Dir) {
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm()&0o077 != 0 && filepath.Ext(f) != ".crt" {
			t.Errorf("%s: %v %v", f, info.Mode(), err)
		}
	}
	pids := children()
	if len(pids) != 1 {
		t.Fatalf("children: %v", pids)
	}
	eventually(t, "a note of the denial", func() bool { return strings.Contains(n.String(), `event="blocked"`) })
	p.Stop()
	p.Stop()
	if _, err := os.Stat(p.dir); !errors.Is(err, os.ErrNotExist) || dials(p.address) || len(children()) != 0 {
		t.Errorf("something is left: %v %v", err, children())
	}
}

// A child gets nothing of its parent: no environment, no descriptor, and
// limits of its own.
func TestChildIsBare(t *testing.T) {
	t.Setenv("A_SECRET", "of the parent")
	held, err := os.Create(filepath.Join(t.TempDir(), "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	start(t, standin(t), policy("a.example.com"))
	proc := fmt.Sprintf("/proc/%d/", children()[0])
	if env, err := os.ReadFile(proc + "environ"); err != nil || len(env) != 0 {
		t.Errorf("environment %q, %v", env, err)
	}
	raw, err := ln.(*net.UnixListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var mine string
	if err := raw.Control(func(fd uintptr) { mine, _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)) }); err != nil || mine == "" {
		t.Fatal(mine, err)
	}
	fds, err := os.ReadDir(proc + "fd")
	if err != nil || len(fds) < 3 {
		t.Fatal(fds, err)
	}
	for _, fd := range fds {
		if link, _ := os.Readlink(proc + "fd/" + fd.Name()); link == held.Name() || link == mine {
			t.Errorf("descriptor %s is the parent's %s", fd.Name(), link)
		}
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Max core file size 0 0 ", "Max open files 4096 4096 ", "Max file size 16777216 16777216 "} {
		if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), want) {
			t.Errorf("not %q:\n%s", want, limits)
		}
	}
}

func TestItComesBack(t *testing.T) {
	p, n := start(t, standin(t), policy("a.example.com"))
	for range 3 {
		before := children()
		if len(before) != 1 {
			t.Fatalf("children: %v", before)
		}
		if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another one", func() bool {
			now := children()
			return len(now) == 1 && now[0] != before[0] && dials(p.address)
		})
	}
	if got := strings.Count(n.String(), "pipelock ended, nothing passes"); got != 3 {
		t.Errorf("%d deaths noted:\n%s", got, n)
	}
}

// A program that cannot come back leaves its port closed, and Stop ends the
// attempts.
func TestItStaysDown(t *testing.T) {
	binary := standin(t)
	p, n := start(t, binary, policy("a.example.com"))
	if err := os.Remove(binary); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(children()[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "attempts", func() bool { return strings.Count(n.String(), "it cannot be started") > 2 })
	if dials(p.address) {
		t.Error("somebody answers")
	}
	p.Stop()
}

func TestStartRefuses(t *testing.T) {
	const version = "case $1 in --version) echo pipelock version 2.3.0;;\n"
	for name, c := range map[string]struct{ binary, want string }{
		"garbage version": {standin(t, "version=garbage"), "does not say which version"},
		"version 3":       {standin(t, "version=3.5.1"), "pipelock 3.5.1 is not supported: bb writes configurations for version 2"},
		"version 1":       {standin(t, "version=1.5.0"), "pipelock 1.5.0 is not supported"},
		"dies at once":    {standin(t, "dies=yes"), "pipelock does not run: exit status 3: it dies, as it was linked to"},
		"check fails":     {script(t, version+"check) echo 'unknown key \x1b[31mx'; exit 1;; esac"), "pipelock refuses the configuration: exit status 1: unknown key [31mx"},
		"never listens":   {script(t, version+"run) exec sleep 100;; esac"), "pipelock does not listen"},
		"ends well":       {script(t, version+"esac"), "pipelock does not run: it ended by itself"},
		"endless version": {script(t, "exec sleep 100"), "it takes too long"},
		"floods":          {script(t, "exec yes"), "it takes too long"},
		"missing":         {filepath.Join(t.TempDir(), "none"), "it cannot be started: no such file or directory"},
	} {
		dir := filepath.Join(t.TempDir(), "private")
		w := quick
		w.command, w.port = time.Second, time.Second
		p, err := Start(t.Context(), Options{Binary: c.binary, Dir: dir, waits: w}, policy("a.example.com"))
		if err == nil {
			p.Stop()
			t.Errorf("%s: it started", name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 || len(children()) > 0 {
			t.Errorf("%s: left behind: %v %v", name, left, children())
		}
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Binary: standin(t), Dir: open, waits: quick}, policy("a.example.com")); err == nil || !strings.Contains(err.Error(), "0700") {
		t.Errorf("a directory that others see: %v", err)
	}
}

// However the parent dies, the program dies with it.
func TestKilledParent(t *testing.T) {
	cmd := exec.Command(os.Args[0], standin(t))
	cmd.Env = append(os.Environ(), "PIPELOCK_TEST_PARENT="+t.TempDir(), "GOCOVERDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	address, pid, ok := strings.Cut(strings.TrimSpace(line), " ")
	child, err := strconv.Atoi(strings.Trim(pid, "[]"))
	if !ok || err != nil || !dials(address) {
		t.Fatalf("%q: %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the child's end", func() bool {
		// A zombie waits for whoever adopts it.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		return (err != nil || strings.Contains(string(stat), ") Z ")) && !dials(address)
	})
}

// What the program says is cut to what is known to quote no request.
func TestEvents(t *testing.T) {
	n := &notes{}
	e := &events{note: n.add}
	fmt.Fprint(e, `{"level":"info","event":"allowed","url":"https://a.example.com/?q=secret"}`+"\n"+
		"\x1b[2J banner https://a.example.com/x?token=secret\n"+
		`{"level":"warn","event":"blocked","url":"https://a.example.com/p?q=secret","reason":"body \u001b[31m con`)
	fmt.Fprint(e, `tains: AWS","body":"secret"}`+"\n"+strings.Repeat("x", 1<<20)+"\n")
	want := `pipelock: warn event="blocked" reason="body [31m contains: AWS" host="a.example.com"`
	if n.String() != want {
		t.Errorf("%s", n)
	}
	if last := e.last(); strings.Contains(last, "secret") || len(last) > 1000 || !strings.Contains(last, "banner https://a.example.com/x?...") {
		t.Errorf("%q", last)
	}
	for range 1000 {
		fmt.Fprintln(e, `{"level":"warn","event":"blocked"}`)
	}
	if got := strings.Count(n.String(), "\n"); got != perMinute-1 {
		t.Errorf("%d lines", got+1)
	}
}
