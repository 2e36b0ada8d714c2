package cli_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

type guest struct {
	*cli.Client
	fake *fakesmol.Fake
	held *cli.Held
	dir  string
}

const name = "bb-dev-0a1b2c"

// boot starts a machine of the fake, with one socket in it.
func boot(t *testing.T, change func(*cli.Spec)) *guest {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the fake smolvm makes namespaces and mounts: run this test as root")
	}
	fake := fakesmol.New(t)
	c, err := cli.Find(t.Context(), cli.Options{Getenv: fake.Getenv, Locks: filepath.Join(t.TempDir(), "locks")})
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{c, fake, hold(t, c, name), t.TempDir()}
	s := cli.Spec{
		Name: name, Image: cli.Image{Dir: fakesmol.Root(t, "debian:bookworm-slim")}, Command: []string{"sleep", "infinity"},
		Sockets: []cli.Mount{{Host: filepath.Join(g.dir, "door.sock"), Guest: "/bb/door/door.sock"}},
	}
	if change != nil {
		change(&s)
	}
	if err := g.held.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	return g
}

func (g *guest) start(t *testing.T) {
	t.Helper()
	if err := g.held.Start(t.Context(), true); err != nil {
		log, _ := exec.Command("sh", "-c", "cat "+g.fake.DataDir+"/.cache/smolvm/vms/*/agent-console.log").CombinedOutput()
		t.Fatalf("%v\n%s", err, log)
	}
}

// sh runs a shell command to a certain end and returns its output.
func (g *guest) sh(t *testing.T, script string) string {
	t.Helper()
	r, err := g.Run(t.Context(), cli.Step{Machine: name, Argv: []string{"sh", "-c", script}})
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return string(r.Stdout) + string(r.Stderr)
}

func (g *guest) state(t *testing.T) cli.State {
	t.Helper()
	m, err := g.Status(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return m.State
}

// The guest has no interface but loopback, namespaces of its own, and its files
// outlive a stop.
func TestGuest(t *testing.T) {
	g := boot(t, nil)
	if s := g.state(t); s != cli.Running {
		t.Errorf("after start: %s", s)
	}
	g.start(t) // again is success
	for script, want := range map[string]string{
		"tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \n'":                                         "lo",
		"tail -n +2 /proc/net/route":                                                                   "",
		"id -u; cat /proc/1/comm; hostname":                                                            "0\nsleep\n" + name + "\n",
		"echo out; echo err >&2; exit 0":                                                               "out\nerr\n",
		". /etc/os-release; echo $VERSION_CODENAME":                                                    "bookworm\n",
		"stat -f -c %T /tmp /run /dev/shm | uniq":                                                      "tmpfs\n",
		"ls -A /.fakesmol-old 2>/dev/null; cat /proc/mounts | grep -c " + g.fake.DataDir + "/machines": "0\n",
		"test -c /dev/null && echo x >/dev/null && echo yes":                                           "yes\n",
		`printf %s "$SMOLVM_DATA_DIR$BB_SMOLVM$SECRET_OF_THE_HOST"`:                                    "",
	} {
		if got := g.sh(t, script); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	g.sh(t, "echo kept > /root/kept; echo gone > /tmp/gone; echo work > /workspace/w")
	if err := g.held.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := g.state(t); s != cli.Stopped {
		t.Errorf("after stop: %s", s)
	}
	g.start(t)
	if got := g.sh(t, "cat /root/kept /workspace/w; ls /tmp"); got != "kept\nwork\n" {
		t.Errorf("after stop and start: %q", got)
	}
	pid := g.fake.Process(name)
	if err := g.held.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pid == 0 || g.fake.Process(name) != 0 {
		t.Error("the machine's process outlived it")
	}
}

// An archive is unpacked layer by layer, with what later layers remove, and its
// configuration is the workload's.
func TestArchive(t *testing.T) {
	g := boot(t, func(s *cli.Spec) { s.Image, s.Command = cli.Image{Archive: savedImage(t)}, nil })
	want := "1000\n/srv\nfrom the image\n/bin/sleep 1234 \n/keep/b\n/opq/new\n"
	if got := g.sh(t, `id -u; pwd; echo "$WORD"; tr '\0' ' ' </proc/1/cmdline; echo; ls -d /keep/* /opq/*`); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m, err := g.Status(t.Context(), name)
	if err != nil || !strings.HasPrefix(m.Image, "local:") || len(m.Image) != len("local:")+64 {
		t.Errorf("image %q, %v", m.Image, err)
	}
}

// Where the system has no overlay, as in some containers, the disk is a copy.
func TestDiskWithoutOverlay(t *testing.T) {
	g := boot(t, func(s *cli.Spec) {
		s.Image = cli.Image{Archive: savedImage(t)}
		s.Volumes = []cli.Mount{{Host: t.TempDir(), Guest: "/lent", ReadOnly: true}}
	})
	const script = `while read -r _ at kind _; do if [ "$at" = / ]; then echo "$kind"; fi; done </proc/mounts; (echo x >/lent/x) 2>/dev/null || echo read-only`
	if got := g.sh(t, script); !strings.HasPrefix(got, "overlay\n") {
		t.Logf("no overlay here: both halves of this test see a copy: %q", got)
	}
	if err := g.held.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.fake.Fault("start", fakesmol.FaultNoOverlay, 1)
	g.start(t)
	if got := g.sh(t, script); strings.HasPrefix(got, "overlay") || !strings.HasSuffix(got, "\nread-only\n") {
		t.Errorf("%q", got)
	}
}

func TestExec(t *testing.T) {
	g := boot(t, nil)
	for _, c := range []struct {
		argv           []string
		stdin          string
		code           int
		stdout, stderr string
	}{
		{[]string{"sh", "-c", "echo a; echo b >&2; exit 7"}, "", 7, "a\n", "b\n"},
		{[]string{"cat"}, "through\x00\xff\n", 0, "through\x00\xff\n", ""},
		{[]string{"echo", "--name=x", "-t", "--", "$HOME", "a b"}, "", 0, "--name=x -t -- $HOME a b\n", ""},
		{[]string{"sh", "-c", "kill -9 $$"}, "", 137, "", ""},
		{[]string{"false"}, "", 1, "", ""},
		{[]string{"sh", "-c", "echo Error: of the command >&2; exit 1"}, "", 1, "", "Error: of the command\n"},
		{[]string{"sh", "-c", "exit 2"}, "", 2, "", ""},
	} {
		var out, errOut bytes.Buffer
		x := cli.Exec{Machine: name, Argv: c.argv, Stdout: &out, Stderr: &errOut}
		if c.stdin != "" {
			x.Stdin = strings.NewReader(c.stdin)
		}
		code, err := g.Exec(t.Context(), x)
		if err != nil || code != c.code || out.String() != c.stdout || errOut.String() != c.stderr {
			t.Errorf("%q: %d, %v, %q, %q", c.argv, code, err, out.String(), errOut.String())
		}
	}
	// Far more than smolvm's buffer holds.
	r, err := g.Run(t.Context(), cli.Step{Machine: name, Argv: []string{"head", "-c", "13000000", "/dev/zero"}})
	if err != nil || len(r.Stdout) != 13_000_000 {
		t.Errorf("%d bytes of 13000000, %v", len(r.Stdout), err)
	}
	_, err = g.Run(t.Context(), cli.Step{Machine: name, Argv: []string{"head", "-c", "101", "/dev/zero"}, MaxOutput: 100})
	wantKind(t, "more output than asked for", err, cli.Truncated)

	// A message in smolvm's own form makes an exec unsure, and a step not.
	const forged = "echo 'Error: vm not found: " + name + "' >&2; exit 1"
	var failed *cli.Error
	if _, err = g.Exec(t.Context(), cli.Exec{Machine: name, Argv: []string{"sh", "-c", forged}, Stdout: io.Discard, Stderr: io.Discard}); !errors.As(err, &failed) || !failed.Unsure {
		t.Errorf("exec of a forged message: %v", err)
	}
	if r, err := g.Run(t.Context(), cli.Step{Machine: name, Argv: []string{"sh", "-c", forged}}); err != nil || r.Code != 1 || !strings.Contains(string(r.Stderr), "vm not found") {
		t.Errorf("a step with a forged message: %+v, %v", r, err)
	}
	_, err = g.Exec(t.Context(), cli.Exec{Machine: name, Argv: []string{"no-such-program"}, Stdout: io.Discard, Stderr: io.Discard})
	wantKind(t, "no such program", err, cli.Agent)

	// When the caller goes, so does the command; a reader that says nothing
	// holds nothing up.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := g.Exec(ctx, cli.Exec{Machine: name, Argv: []string{"sleep", "4321"}, Stdout: io.Discard, Stderr: io.Discard}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("exec past its end: %v", err)
	}
	if got := g.sh(t, `sleep 0.2; for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline 2>/dev/null; echo; done | grep '^sleep 4321'; true`); got != "" {
		t.Errorf("a command outlived its caller: %q", got)
	}
	quiet, w := io.Pipe()
	defer w.Close()
	began := time.Now()
	if code, err := g.Exec(t.Context(), cli.Exec{Machine: name, Argv: []string{"true"}, Stdin: quiet, Stdout: io.Discard, Stderr: io.Discard}); code != 0 || err != nil || time.Since(began) > 1500*time.Millisecond {
		t.Errorf("exec with a quiet reader: %d, %v, after %s", code, err, time.Since(began))
	}
}

// A mounted socket reaches a listener of this machine, also one that comes later.
func TestSocket(t *testing.T) {
	g := boot(t, func(s *cli.Spec) {
		s.Command = nil // the image's own ends at once: a container that idles takes its place
	})
	if got := g.sh(t, "cat /proc/1/comm; test -S /bb/door/door.sock && stat -c %U:%a /bb/door/door.sock"); got != "fakesmol-box\nroot:755\n" && !strings.HasSuffix(got, "\nroot:755\n") {
		t.Errorf("%q", got)
	}
	const dial = `perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer=>"/bb/door/door.sock") or exit 3; print $s "ping\n"; $s->shutdown(1); print <$s>'`
	for _, answer := range []string{"one\n", "two\n"} { // the second time by a new socket
		l, err := net.Listen("unix", filepath.Join(g.dir, "door.sock"))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			got, _ := io.ReadAll(c)
			_, _ = c.Write(append(got, answer...))
		}()
		if got := g.sh(t, dial); got != "ping\n"+answer {
			t.Errorf("%q", got)
		}
		_ = l.Close()
	}
}

// What is killed from outside is stopped or unreachable, and start repairs it.
func TestDeath(t *testing.T) {
	g := boot(t, nil)
	g.fake.Kill(name)
	if s := g.state(t); s != cli.Stopped {
		t.Errorf("after the process was killed: %s", s)
	}
	_, err := g.Run(t.Context(), cli.Step{Machine: name, Argv: []string{"true"}})
	wantKind(t, "a step in a dead machine", err, cli.NotRunning)
	g.fake.Fault("start", fakesmol.FaultUnreachable, 1)
	g.start(t)
	if s := g.state(t); s != cli.Unreachable {
		t.Errorf("a machine that does not answer: %s", s)
	}
	_, err = g.Run(t.Context(), cli.Step{Machine: name, Argv: []string{"true"}})
	wantKind(t, "a step in a machine that does not answer", err, cli.Silent)
	silent := g.fake.Process(name)
	g.start(t)
	if s := g.state(t); s != cli.Running || g.fake.Process(name) == silent {
		t.Errorf("start did not repair it: %s", s)
	}
	g.sh(t, "true")
}

func TestFaults(t *testing.T) {
	g := boot(t, nil)
	ctx := t.Context()
	g.fake.Fault("ls", fakesmol.FaultTruncate, 1)
	if l, err := g.List(ctx); err != nil || len(l) != 1 {
		t.Errorf("a list that was cut once: %v, %v", l, err)
	}
	g.fake.Fault("ls", fakesmol.FaultTruncate, 2)
	_, err := g.List(ctx)
	wantKind(t, "a list that was cut twice", err, cli.Truncated)
	g.fake.Fault("ls", fakesmol.FaultKilled, 1)
	if _, err := g.List(ctx); err != nil {
		t.Errorf("a list that was killed once: %v", err)
	}
	g.fake.Fault("ls", fakesmol.FaultKilled, 2)
	_, err = g.List(ctx)
	wantKind(t, "a list that was killed twice", err, cli.Killed)
	_, err = g.List(ctx)
	if err != nil {
		t.Errorf("one retry too many: %v", err)
	}

	// What may have had its effect is not done twice.
	count := []string{"sh", "-c", "echo x >> /root/count; cat /root/count | wc -l"}
	g.fake.Fault("exec", fakesmol.FaultKilledAfter, 1)
	_, err = g.Run(ctx, cli.Step{Machine: name, Argv: count})
	wantKind(t, "a step that was killed", err, cli.Killed)
	g.fake.Fault("exec", fakesmol.FaultKilledAfter, 1)
	if r, err := g.Run(ctx, cli.Step{Machine: name, Argv: count, Idempotent: true}); err != nil || string(r.Stdout) != "3\n" {
		t.Errorf("an idempotent step that was killed once: %q, %v", r.Stdout, err)
	}
	g.fake.Fault("exec", fakesmol.FaultExit1, 1)
	_, err = g.Run(ctx, cli.Step{Machine: name, Argv: []string{"true"}})
	wantKind(t, "an exit 1 of smolvm that says nothing", err, cli.Other)
	g.fake.Fault("exec", fakesmol.FaultTruncate, 1)
	_, err = g.Run(ctx, cli.Step{Machine: name, Argv: []string{"echo", "a long line"}})
	wantKind(t, "an output that ends too early", err, cli.Truncated)

	g.fake.Fault("create", fakesmol.FaultKilled, 1)
	wantKind(t, "a create that was killed", hold(t, g.Client, "x").Create(ctx, cli.Spec{Name: "x"}), cli.Killed)
	if err := g.held.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	g.fake.Fault("start", fakesmol.FaultKilledAfter, 1)
	g.fake.Fault("start", fakesmol.FaultSlow, 1)
	began := time.Now()
	g.start(t)
	if time.Since(began) < 2*time.Second {
		t.Error("the slow start was not slow")
	}
	g.fake.Fault("delete", fakesmol.FaultKilledAfter, 1)
	if err := g.held.Delete(ctx); err != nil {
		t.Errorf("a delete that was killed when it was done: %v", err)
	}
}

// Two starts at once: the lock keeps the second from killing the first.
func TestLockAcrossProcesses(t *testing.T) {
	g := boot(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	if h, err := g.Hold(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the lock was given twice: %v, %v", h, err)
	}
	if err := g.held.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.held.Release(); err != nil {
		t.Fatal(err)
	}
	g.fake.Fault("start", fakesmol.FaultSlow, 1)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			h, err := g.Hold(t.Context(), name)
			if err == nil {
				err = errors.Join(h.Start(t.Context(), false), h.Release())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if s := g.state(t); s != cli.Running {
		t.Errorf("after two starts: %s", s)
	}
}
