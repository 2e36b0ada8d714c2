package hostside

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress/gitgate/gittest"
)

// What a sidecar and its git are, as the system sees them: the real ones, with a
// fetch under way to an upstream that says nothing. As root and as a user.
func TestProcesses(t *testing.T) {
	if lacks := Unconfined(); lacks != "" {
		t.Skip(lacks + ": NOT RUN")
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("who looks into a process that is closed to its user is root")
		}
		t.Skip("who looks into a process that is closed to its user is root: NOT RUN")
	}
	left, err := os.Open("main_test.go") // by who starts it, for everybody
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	s, one := newSidecars(t)
	if _, err := syscall.Dup(int(left.Fd())); err != nil { // a descriptor that stays open in a program
		t.Fatal(err)
	}
	if err := s.Ensure(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	p, err := serving(s.home(one.ID))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("as root", func(t *testing.T) { examine(t, s.home(one.ID), p.PID, me(), one.ID.Name()) })

	h := home(filepath.Join(shortDir(t), "bb-user-012345"))
	user := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	it := launch(t, bb, h, user)
	t.Run("as a user", func(t *testing.T) { examine(t, h, it.Process.Pid, user, filepath.Base(string(h))) })
}

func examine(t *testing.T, h home, pid int, as *syscall.SysProcAttr, instance string) {
	told(t, h, as, "apply", fmt.Sprintf(`{"bb":1,"instance":%q,"routes":[],"tokens":{"GIT_CREDENTIAL_0":{"value":"secret-of-the-remote","digest":"d0"}},
		"remotes":[{"name":"app","upstream":"https://%s/o/app.git","slot":"GIT_CREDENTIAL_0","push":{}}]}`, instance, gittest.Silent(t, "")))
	door, err := net.Dial("unix", h.door())
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	if _, err := io.WriteString(door, "bb1 git\nGET /app.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: git-gate:9420\r\nGit-Protocol: version=2\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var git, transport int                                    // git, and what it runs to speak HTTP
	until(t, "git that waits for its upstream", func() bool { // before, it still begins
		git = childOf(pid)
		transport = childOf(git)
		return transport != 0 && connected(transport)
	})
	uid := as.Credential.Uid
	for name, p := range map[string]int{"the sidecar": pid, "git": git, "git's child": transport} {
		status := fields(t, p)
		want := map[string]string{"NoNewPrivs": "1", "CapInh": none, "CapPrm": none, "CapEff": none, "CapAmb": none, "Uid": strings.Repeat(fmt.Sprint(uid)+" ", 4)}
		if uid == 0 { // a user's bounds bound nothing without new privileges
			want["CapBnd"] = none
		}
		got := map[string]string{}
		for key := range want {
			got[key] = status[key]
		}
		want["Uid"] = strings.TrimSpace(want["Uid"])
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(f) < 4 || f[3] != strconv.Itoa(pid) {
			t.Errorf("%s: it is in another session: %s", name, stat)
		}
		descriptors(t, name, h, p, pid)
	}
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err != nil || string(env) != "BB_INSTANCE="+instance+"\x00HOME=/nonexistent\x00" {
		t.Errorf("the sidecar's environment: %q, %v", env, err)
	}
	for _, p := range []int{git, transport} {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p))
		for _, kv := range strings.Split(strings.TrimSuffix(string(env), "\x00"), "\x00") {
			name, value, _ := strings.Cut(kv, "=")
			if !slices.Contains([]string{"PATH", "HOME", "LC_ALL"}, name) && !strings.HasPrefix(name, "GIT_") || strings.Contains(value, "secret-of") || strings.Contains(value, os.Getenv("HOME")+"/") {
				t.Errorf("git's environment: %s, %v", kv, err)
			}
		}
	}
	for _, dir := range []string{string(h), h.own(), filepath.Dir(h.door()), filepath.Dir(h.control()), h.own("ca")} {
		if info, err := os.Stat(dir); err != nil || info.Mode() != os.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
	// Closed to others of its user: the system gives its files to root.
	if info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", pid)); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("%v, %v", info, err)
	}
	if uid == 0 {
		return
	}
	peek := exec.Command(played, "sidecar", "peek", strconv.Itoa(pid))
	peek.SysProcAttr = as
	if out, err := peek.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// connected reports whether a process has a socket.
func connected(pid int) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	return slices.ContainsFunc(files, func(file string) bool {
		to, _ := os.Readlink(file)
		return strings.HasPrefix(to, "socket:")
	})
}

const none = "0000000000000000"

func fields(t *testing.T, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Error(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		all[key] = strings.Join(strings.Fields(value), " ")
	}
	return all
}

// descriptors are the sidecar's own, and of git what the gate gave it.
func descriptors(t *testing.T, name string, h home, p, pid int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p))
	if err != nil || len(files) < 3 {
		t.Errorf("%s: %v, %v", name, files, err)
	}
	standard := map[string]string{"0": os.DevNull, "1": os.DevNull, "2": h.log()}
	for _, file := range files {
		to, err := os.Readlink(file)
		if err != nil {
			continue // closed meanwhile
		}
		n := filepath.Base(file)
		own := strings.HasPrefix(to, "pipe:") || strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, h.own()+"/") || to == os.DevNull
		if p == pid {
			own = own || to == fmt.Sprintf("/proc/%d/oom_score_adj", pid) || strings.HasPrefix(to, "/sys/kernel/mm/")
			if want := standard[n]; want != "" && to != want {
				t.Errorf("%s: descriptor %s is %s, not %s", name, n, to, want)
			}
		} else if strings.HasPrefix(to, h.own("ca")+"/") && !strings.HasPrefix(to, h.own("ca", "git")+"/") || to == h.own(pidFile) || to == h.log() {
			own = false
		}
		if !own {
			t.Errorf("%s: descriptor %s is %s", name, n, to)
		}
	}
}

func init() { roles["peek"] = playPeek }

// playPeek is another process of a sidecar's user, which nothing confines.
func playPeek(args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	open := exec.Command("/bin/sleep", "60")
	if err := open.Start(); err != nil {
		return err
	}
	defer open.Wait()         //nolint:errcheck // it is killed
	defer open.Process.Kill() //nolint:errcheck // it is killed
	time.Sleep(10 * time.Millisecond)
	for _, name := range []string{"environ", "mem", "maps", "fd/0", "root/etc/hosts"} {
		if f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name)); err == nil {
			_ = f.Close()
			return fmt.Errorf("%s can be opened", name)
		}
		f, err := os.Open(fmt.Sprintf("/proc/%d/%s", open.Process.Pid, name))
		if err != nil {
			return fmt.Errorf("that of an open process: %w", err)
		}
		_ = f.Close()
	}
	if err := syscall.PtraceAttach(pid); !errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("trace: %w", err)
	}
	return nil
}
