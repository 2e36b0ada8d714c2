package smolvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// skipped ends a test that cannot run here, and is remembered.
func skipped(t *testing.T, format string, args ...any) {
	t.Helper()
	notRunMu.Lock()
	notRun[t.Name()] = fmt.Sprintf(format, args...)
	notRunMu.Unlock()
	t.Skipf("NOT RUN: "+format, args...)
}

// realWorld is a driver over the real smolvm, with data of its own.
func realWorld(t *testing.T) *world {
	t.Helper()
	path := os.Getenv("BB_SMOLVM")
	if path == "" {
		skipped(t, "no BB_SMOLVM (hack/smolvm installs one; 'make contract' runs this test)")
	}
	w := newWorld(t)
	// Root's machines run as users of their own, to whom a test's own temporary
	// directories are shut.
	data, err := os.MkdirTemp("", "bb-smolvm-") //nolint:usetesting // see above
	if err == nil {
		err = os.Chmod(data, 0o755) //nolint:gosec // others pass through
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	w.opts.Getenv = func(name string) string {
		switch name {
		case "BB_SMOLVM":
			return path
		case "SMOLVM_DATA_DIR":
			return data
		}
		return os.Getenv(name)
	}
	return w
}

// TestRealSmolvm does with the real program what needs no boot: a machine of
// an exported image is created with all that the driver tells it, observed,
// kept, and removed.
func TestRealSmolvm(t *testing.T) {
	w := realWorld(t)
	s := newSpec(t)
	w.upTo(t, s)
	if err := w.CreateAgent(t.Context(), s); err != nil {
		t.Errorf("again: %v", err)
	}
	world, err := w.Observe(t.Context(), plan.Query{Owner: w.opts.Owner, Specs: []*spec.Spec{s}})
	if err != nil || len(world.Instances) != 1 || world.Instances[0].Agent == nil {
		t.Fatalf("%+v, %v", world, err)
	}
	a := world.Instances[0].Agent
	if a.Running || a.Status != "created" || len(a.Altered) > 0 || a.Spec != s.Hash(w.opts.Key) || a.Image != world.Images[s.ID.Name()].Ref || a.Ref == "" {
		t.Errorf("%+v", a)
	}
	for range 2 {
		if err := w.RemoveAgent(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := w.find(t.Context(), s.ID); m != nil || err != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

// bootPatienceHere is what the least machine gets to come up: where it takes
// longer nothing else is worth the wait.
const bootPatienceHere = 90 * time.Second

var booted struct {
	once sync.Once
	why  string // "" when one did
}

// needsBoot skips where no machine boots: one bare machine of the real smolvm is
// tried, once a run. That a device is there says nothing.
func needsBoot(t *testing.T, w *world) {
	t.Helper()
	booted.once.Do(func() {
		if err := bootsBare(t, w); err != nil {
			booted.why = err.Error()
		}
	})
	if booted.why != "" {
		skipped(t, "no VM boots here: %s", booted.why)
	}
}

// bootsBare boots a machine of smolvm's own small system and runs a command.
func bootsBare(t *testing.T, w *world) error {
	ctx, cancel := context.WithTimeout(t.Context(), bootPatienceHere)
	defer cancel()
	c, err := w.client(ctx)
	if err != nil {
		return err
	}
	h, err := c.Hold(ctx, "bb-boots")
	if err != nil {
		return err
	}
	defer func() { _ = h.Release() }()
	defer func() { // whatever came of it
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err := h.Delete(after); err != nil {
			t.Error(err)
		}
	}()
	if err := h.Create(ctx, cli.Spec{Name: "bb-boots", CPUs: 1, Memory: 256}); err != nil {
		return err
	}
	if err := h.Start(ctx, true); err != nil {
		return err
	}
	r, err := c.Run(ctx, cli.Step{Machine: "bb-boots", Argv: []string{"true"}, Limit: 30 * time.Second})
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("a machine runs, and 'true' ends with %d in it", r.Code)
	}
	return err
}

// TestBoots brings a bottle up in a real machine, from nothing to nothing.
func TestBoots(t *testing.T) {
	w := realWorld(t)
	needsBoot(t, w)
	wholeLife(t, w)
	// Only here has the machine a kernel of its own.
	s := newSpec(t)
	w.up(t, s)
	defer w.RemoveAgent(context.WithoutCancel(t.Context()), s.ID) //nolint:errcheck // asserted in wholeLife
	here, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.sh(t, s, "cat /proc/sys/kernel/random/boot_id"); got == string(here) {
		t.Error("the machine has this machine's kernel")
	}
	// Vsock leads to the VMM: no service of the host's may answer there.
	const dial = `perl -e 'use Socket; for $cid (0,1,2) { for $port (22,53,80,443,1024,2375,6000,10081) {
		socket(S, 40, SOCK_STREAM, 0) or exit 0; $SIG{ALRM} = sub { die }; eval { alarm 1; print "$cid:$port\n" if connect(S, pack("SSLLx4", 40, 0, $port, $cid)); alarm 0 } } }'`
	if got := w.sh(t, s, dial); got != "" {
		t.Errorf("vsock leads from the agent to:\n%s", got)
	}
}

// TestWholeLife is what TestBoots does, over the fake: it is the test that is
// tested.
func TestWholeLife(t *testing.T) { wholeLife(t, newWorld(t)) }

// wholeLife creates, looks, runs, probes, stops, starts and deletes.
func wholeLife(t *testing.T, w *world) {
	t.Helper()
	ctx, s := t.Context(), newSpec(t)
	before := hostPorts(t)
	w.up(t, s)
	if p := w.seen(t, s); !p.Running || len(p.Altered) > 0 {
		t.Errorf("after up: %+v", p)
	}
	if got := w.sh(t, s, "id -un; echo $HIDDEN; cat ~/.bb/prompt.md"); got != "node\n"+hiddenValue+"\nbe kind" {
		t.Errorf("%q", got)
	}
	out, errOut := &bytes.Buffer{}, &bytes.Buffer{}
	code, err := w.Exec(ctx, s.ID, backends.ExecRequest{Argv: []string{"sh", "-c", "cat; echo err >&2; exit 7"}, Stdin: strings.NewReader("in"), Stdout: out, Stderr: errOut})
	if code != 7 || err != nil || out.String() != "in" || errOut.String() != "err\n" {
		t.Errorf("exec: %d, %v, %q, %q", code, err, out, errOut)
	}

	// The probe of the driver, and the same by hand, past its code.
	if err := w.probe(ctx, s); err != nil {
		t.Errorf("the probe: %v", err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	heard := make(chan string, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			heard <- c.RemoteAddr().String()
			_ = c.Close()
		}
	}()
	for what, target := range map[string]string{
		"this machine's loopback": "127.0.0.1/" + port, "outside": "192.0.2.1/80", "a resolver": "192.0.2.53/53", "metadata": "169.254.169.254/80", "smolvm's gateway": "100.96.0.1/" + port,
	} {
		if got := w.sh(t, s, "timeout 5 bash -c 'exec 3<>/dev/tcp/"+target+"' 2>/dev/null && echo reached"); got != "" {
			t.Errorf("%s is reached", what)
		}
	}
	select {
	case from := <-heard:
		t.Errorf("this machine heard %s", from)
	default:
	}
	if got := w.sh(t, s, "grep -v '^Inter\\|^ face\\|lo:' /proc/net/dev; tail -n +2 /proc/net/route; getent hosts example.com"); got != "" {
		t.Errorf("interfaces, routes, names: %q", got)
	}
	if got := w.sh(t, s, "/bb/bin/bb door probe && echo open"); got != "open\n" {
		t.Errorf("the door: %q", got)
	}

	// A listener of the agent's is nobody's but its own.
	ended := make(chan error, 1)
	guest, hangUp := context.WithCancel(ctx)
	go func() {
		_, err := w.Exec(guest, s.ID, backends.ExecRequest{Argv: []string{"perl", "-MIO::Socket::INET", "-e", `$s = IO::Socket::INET->new(Listen => 5, LocalAddr => "0.0.0.0", LocalPort => 18098) or die; sleep 60`}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}})
		ended <- err
	}()
	await(t, "the agent's listener", func() bool {
		return w.sh(t, s, "bash -c 'exec 3<>/dev/tcp/127.0.0.1/18098' 2>/dev/null && echo up; true") == "up\n"
	})
	if c, err := net.DialTimeout("tcp", "127.0.0.1:18098", time.Second); err == nil {
		_ = c.Close()
		t.Error("a listener in the machine is one of this machine")
	}
	if hostPorts(t)["4682"] && !before["4682"] {
		t.Error("a listener in the machine is in this machine's table")
	}
	hangUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the command that was given up: %v", err)
	}

	// Stopped, it keeps what the agent made; deleted, nothing.
	w.sh(t, s, "echo kept >~/kept")
	if err := w.Stop(ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	if p := w.seen(t, s); p.Running {
		t.Errorf("after stop: %+v", p)
	}
	secrets := newSecrets(w.Driver, s)
	for what, err := range map[string]error{
		"sidecar": w.CreateSidecar(ctx, s), "configure": w.Configure(ctx, s, secrets, []string{spec.PartEgress}),
	} {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if err := w.StartAgent(ctx, s); err != nil {
		t.Fatal(err)
	}
	if got := w.sh(t, s, "cat ~/kept"); got != "kept\n" {
		t.Errorf("after stop and start: %q", got)
	}
	if err := errors.Join(w.RemoveAgent(ctx, s.ID), w.RemoveSidecar(ctx, s.ID)); err != nil {
		t.Fatal(err)
	}
	if m, err := w.find(ctx, s.ID); m != nil || err != nil {
		t.Errorf("after delete: %+v, %v", m, err)
	}
	c, err := w.client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := c.List(ctx); err != nil || len(all) > 0 {
		t.Errorf("left: %v, %v", all, err)
	}
	if out, _ := exec.Command("sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c '["+s.ID.Name()[:1]+"]"+s.ID.Name()[1:]+"'").Output(); strings.TrimSpace(string(out)) != "0" {
		t.Errorf("%s processes are left of it", out)
	}
	if left, _ := filepath.Glob(w.path("agents", s.ID.Name())); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// hostPorts are the ports that somebody listens on here, as /proc has them.
func hostPorts(t *testing.T) map[string]bool {
	t.Helper()
	ports := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 3 && f[3] == "0A" {
				_, port, _ := strings.Cut(f[1], ":")
				ports[port] = true
			}
		}
	}
	return ports
}
