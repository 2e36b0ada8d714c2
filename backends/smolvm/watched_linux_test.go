package smolvm

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// watch puts a program before the fake that writes down what anybody on this
// machine could see of each call: its arguments and its environment. A call
// with "alone" among its arguments waits while the file hold exists.
func (w *world) watch(t *testing.T) (log, hold string) {
	t.Helper()
	dir := t.TempDir()
	log, hold = filepath.Join(dir, "log"), filepath.Join(dir, "hold")
	script := fmt.Sprintf(`#!/bin/sh
{ printf 'call'; printf ' %%s' "$@"; echo; env; } >>%[1]s
case " $* " in *" alone "*) if [ -e %[2]s ]; then : >%[2]s.there; while [ -e %[2]s ]; do sleep 0.02; done; fi;; esac
exec %[3]s "$@"
`, log, hold, w.fake.Path)
	path := filepath.Join(dir, "smolvm")
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	w.opts.Getenv = func(name string) string {
		if name == "BB_SMOLVM" {
			return path
		}
		return w.fake.Getenv(name)
	}
	return log, hold
}

func (w *world) up(t *testing.T, s *spec.Spec) {
	t.Helper()
	secrets := newSecrets(w.Driver, s)
	w.upTo(t, s)
	ctx := t.Context()
	for what, err := range map[string]error{
		"start": w.StartAgent(ctx, s), "provision": w.Provision(ctx, s, secrets, []string{spec.PartEnv, spec.PartPrompt}),
	} {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// upTo stops before the agent starts.
func (w *world) upTo(t *testing.T, s *spec.Spec) {
	t.Helper()
	ctx, secrets := t.Context(), newSecrets(w.Driver, s)
	for _, step := range []func() error{
		func() error { return w.Prepare(ctx, nil) },
		func() error { return w.EnsureImage(ctx, s, nil) },
		func() error { return w.CreateSidecar(ctx, s) },
		func() error { return w.Configure(ctx, s, secrets, []string{spec.PartEgress}) },
		func() error { return w.CreateAgent(ctx, s) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) sh(t *testing.T, s *spec.Spec, script string) string {
	t.Helper()
	out := &bytes.Buffer{}
	if _, err := w.Exec(t.Context(), s.ID, backends.ExecRequest{Argv: []string{"sh", "-c", script}, Stdout: out, Stderr: out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// No credential is in an argument list, an environment, or a file of this
// machine; the bottle has its own, in memory, and its agent has no power.
func TestNoSecretOutside(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	log, _ := w.watch(t)
	w.up(t, s)
	want := "hidden-env-value plain value /home/node node\ntmpfs\n1000\nNoNewPrivs:\t1\nCapBnd\nbe kind\n-rw-r--r-- root /var/lib/bb/env\n"
	got := w.sh(t, s, `echo $HIDDEN $PLAIN $HOME $USER; stat -f -c %T /run/bb; id -u; grep NoNewPrivs /proc/self/status; grep CapEff /proc/self/status | grep -q ' *0000000000000000' || true; echo CapBnd; cat /home/node/.bb/prompt.md; echo; stat -c '%A %U %n' /var/lib/bb/env; touch /var/lib/bb/x /bb/bin/x 2>/dev/null && echo writable`)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("inside (-want +got):\n%s", d)
	}
	seen, err := os.ReadFile(log)
	if err != nil || !bytes.Contains(seen, []byte("machine exec")) {
		t.Fatalf("nothing was watched: %v", err)
	}
	places := []string{w.fake.DataDir, w.opts.Dir}
	for _, secret := range []string{tokenValue, hiddenValue} {
		if bytes.Contains(seen, []byte(secret)) {
			t.Errorf("%s is in an argument list or environment", secret)
		}
		for _, dir := range places {
			err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				if err != nil || !e.Type().IsRegular() || strings.HasSuffix(path, ".tar") || strings.Contains(path, "/rootfs/") || e.Name() == "bb" {
					return nil
				}
				if b, _ := os.ReadFile(path); bytes.Contains(b, []byte(secret)) {
					t.Errorf("%s is in %s", secret, path)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A machine with a way out beside its door is stopped, and is no bottle.
func TestProbeFailsClosed(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	_, hold := w.watch(t)
	w.upTo(t, s)
	if err := os.WriteFile(hold, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		for {
			if _, err := os.Stat(hold + ".there"); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		err := addAddress(w.fake.Process(s.ID.Name()), [4]byte{192, 0, 2, 1})
		_ = os.Remove(hold)
		done <- err
	}()
	err := w.StartAgent(t.Context(), s)
	if addErr := <-done; addErr != nil {
		t.Fatal(addErr)
	}
	if err == nil || !strings.Contains(err.Error(), "a way out beside its door") {
		t.Errorf("a machine with a way out: %v", err)
	}
	m, err := w.find(t.Context(), s.ID)
	if err != nil || m == nil || m.State != "stopped" || w.ready(*m) || w.fake.Process(s.ID.Name()) != 0 {
		t.Errorf("afterwards: %+v, %v", m, err)
	}
	if _, err := w.Exec(t.Context(), s.ID, backends.ExecRequest{Argv: []string{"true"}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}); err == nil {
		t.Error("a command runs in it")
	}
	if err := w.StartAgent(t.Context(), s); err != nil { // without that address it is a bottle
		t.Error(err)
	}
}

// addAddress gives loopback in a machine of the fake one more address: then
// one of outside answers.
func addAddress(vmm int, ip [4]byte) error {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", vmm, vmm))
	if err != nil {
		return err
	}
	box := strings.Fields(string(children))
	if len(box) == 0 {
		return fmt.Errorf("process %d has no box", vmm)
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		result <- func() error {
			ns, err := os.Open("/proc/" + box[0] + "/ns/net")
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
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
		}()
	}()
	return <-result
}

// The identity is set by exactly these calls, each field by itself.
func TestIdentityCalls(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	s.Image = spec.Image{Name: "bbtest-smol-git", Recipe: gitRecipe}
	log, _ := w.watch(t)
	w.up(t, s)
	call := func(args string) string {
		return "call machine exec --name=" + s.ID.Name() + " -i --workdir=/ -e HOME=/home/node -e USER=node -- /sbin/runuser -u node -- " +
			"/bb/bin/bb door session --bare --processes 200 -- git config --global " + args
	}
	name, email := call("user.name A B"), call("user.email a@example.com")
	for _, tt := range []struct {
		what string
		user spec.GitUser
		want []string
	}{
		{"none", spec.GitUser{}, nil},
		{"name only", spec.GitUser{Name: "A B"}, []string{name}},
		{"both", spec.GitUser{Name: "A B", Email: "a@example.com"}, []string{name, email}},
		{"email only", spec.GitUser{Email: "a@example.com"}, []string{call("--unset-all user.name"), email}},
	} {
		if err := os.WriteFile(log, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.Live.GitUser = tt.user
		if err := w.Provision(t.Context(), s, newSecrets(w.Driver, s), []string{spec.PartIdentity}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, " git config ") {
				got = append(got, strings.TrimSuffix(line, "\n"))
			}
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, d)
		}
	}
	if got := w.sh(t, s, "stat -c %U /home/node/.gitconfig; git config user.email; ls /root/.gitconfig 2>/dev/null"); got != "node\na@example.com\n" {
		t.Errorf("%q", got)
	}
}

// Whose machine it is, its labels say; one of another is not touched.
func TestForeignMachine(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.upTo(t, s)
	other, err := New(w.opts)
	if err != nil {
		t.Fatal(err)
	}
	other.opts.Owner = randomHex(t, 16)
	for what, err := range map[string]error{
		"create": other.CreateAgent(t.Context(), s), "start": other.StartAgent(t.Context(), s), "remove": other.RemoveAgent(t.Context(), s.ID),
	} {
		if err == nil || !strings.Contains(err.Error(), "is not bb's") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if m, err := w.find(t.Context(), s.ID); m == nil || err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

// When bb is killed, what it ran in a machine ends.
func TestClientKilled(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.up(t, s)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestPlayExec$")
	cmd.Env = append(os.Environ(), "BB_SMOL_EXEC="+s.ID.Name(), "BB_SMOLVM="+w.fake.Path, "SMOLVM_DATA_DIR="+w.fake.DataDir,
		"BB_SMOL_DIR="+w.opts.Dir, "BB_SMOL_OWNER="+w.opts.Owner, "BB_SMOL_SCOPE="+s.ID.Scope)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running := func() bool {
		return strings.Contains(w.sh(t, s, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), "sleep 983 ")
	}
	await(t, "the command", running)
	if n, err := w.Sessions(t.Context(), s.ID); n != 1 || err != nil {
		t.Errorf("%d sessions, %v", n, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	await(t, "its end", func() bool { return !running() })
	if n, err := w.Sessions(t.Context(), s.ID); n != 0 || err != nil {
		t.Errorf("%d sessions afterwards, %v", n, err)
	}
}

// TestPlayExec is bb in another process.
func TestPlayExec(t *testing.T) {
	if os.Getenv("BB_SMOL_EXEC") == "" {
		return
	}
	d, err := New(Options{Dir: os.Getenv("BB_SMOL_DIR"), Owner: os.Getenv("BB_SMOL_OWNER")})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = d.Exec(t.Context(), spec.ID{Scope: os.Getenv("BB_SMOL_SCOPE"), Agent: "dev", Replica: "1"}, backends.ExecRequest{
		Argv: []string{"sh", "-c", "yes >/dev/null & sleep 983 & sleep 983"}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
	})
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no sign of " + what)
		}
	}
}
